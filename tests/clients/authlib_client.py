"""PyPI authlib against a running server, in a process of its own: it warns where pytest would fail.

Reads what to do from standard input, says what came.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey


def main() -> None:
    """Every client authentication: a token, used, introspected, revoked, introspected again."""
    given = json.load(sys.stdin)
    base, said = given["issuer"], {}
    endpoint = f"{base}/oauth2/token"
    for method in ("client_secret_basic", "client_secret_post", "private_key_jwt"):
        secret: Any = given["client_secret"]
        if method == "private_key_jwt":
            secret = ECKey.import_key(given["private_pem"])
        session = OAuth2Client(
            given["client_id"],
            secret,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            scope=given["scope"],
        )
        if method == "private_key_jwt":
            proof = PrivateKeyJWT(endpoint, alg="ES256", headers={"kid": given["kid"]})
            session.register_client_auth_method(proof)
        token = session.fetch_token(endpoint, grant_type="client_credentials")
        looked = [
            session.introspect_token(f"{base}/oauth2/introspect", token["access_token"]).json()
        ]
        used = session.get(f"{base}/v1/auth/me").status_code
        session.revoke_token(f"{base}/oauth2/revoke", token["access_token"])
        looked.append(
            session.introspect_token(f"{base}/oauth2/introspect", token["access_token"]).json()
        )
        said[method] = {
            "type": token["token_type"],
            "scope": token["scope"],
            "active": [one["active"] for one in looked],
            "sub": looked[0]["sub"],
            "used": used,
        }
        session.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
