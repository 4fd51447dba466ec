"""A machine that speaks OAuth 2 by hand: forms, secrets, assertions and proofs."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.api.served import Answer, Client, Served

FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAKERS = {
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm, ("crv", "x", "y")),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm, ("crv", "x")),
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm, ("n", "e")),
}


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Key:
    """A key pair of a client's own."""

    def __init__(self, algorithm: str = "ES256") -> None:
        make, kind, members = MAKERS[algorithm]
        self.algorithm = algorithm
        self.private: Any = make()
        whole = kind.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk = {name: whole[name] for name in ("kty", *members)}
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        self.thumbprint = b64(hashlib.sha256(canonical).digest())

    def sign(self, claims: dict[str, Any], header: dict[str, Any]) -> str:
        """A JWS; claims and header members of None are left out."""
        told = {name: value for name, value in claims.items() if value is not None}
        extra = {"typ": "JWT"} | header
        return jwt.encode(
            told, self.private, algorithm=extra.pop("alg", self.algorithm), headers=extra
        )

    def proof(
        self,
        method: str,
        url: str,
        token: str | None = None,
        *,
        header: dict[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        """A DPoP proof."""
        claims: dict[str, Any] = {
            "jti": uuid.uuid4().hex,
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": b64(hashlib.sha256(token.encode()).digest()) if token else None,
        }
        return self.sign(claims | changed, {"typ": "dpop+jwt", "jwk": self.jwk} | (header or {}))

    def assertion(
        self, client_id: str, audience: str, *, header: dict[str, Any] | None = None, **changed: Any
    ) -> str:
        """A client assertion (RFC 7523)."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 60,
        }
        return self.sign(claims | changed, header or {})


class Machine:
    """A system account with a secret, as an OAuth 2 client."""

    def __init__(self, served: Served, *roles: str, **key: Any) -> None:
        self.served = served
        self.account = served.account(*roles, kind="system")
        self.id = str(self.account["id"])
        made = served.admin.post(f"/v1/accounts/{self.id}/api-keys", key)
        assert made.status == 201, made.raw
        self.secret, self.key_id = str(made.body["key"]), str(made.body["id"])

    def configure(self, **body: Any) -> Answer:
        answer = self.served.admin.put(f"/v1/accounts/{self.id}/client", body)
        assert answer.status == 200, answer.raw
        return answer

    def basic(self) -> dict[str, str]:
        pair = f"{quote_plus(self.id)}:{quote_plus(self.secret)}"
        return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}

    def token(self, **more: Any) -> Answer:
        """client_credentials with client_secret_basic."""
        headers = self.basic() | more.pop("headers", {})
        form = {"grant_type": "client_credentials", **more}
        return post(self.served.client, "/oauth2/token", form, headers)

    def introspect(self, token: str, **more: Any) -> Any:
        """What the server says of a token."""
        form = {"token": token, **more}
        answer = post(self.served.client, "/oauth2/introspect", form, self.basic())
        assert answer.status == 200, answer.raw
        return answer.body


def url_of(client: Client, path: str) -> str:
    return f"http://{client.host}:{client.port}{path}"


def post(
    client: Client,
    path: str,
    form: dict[str, Any] | str,
    headers: dict[str, str] | None = None,
) -> Answer:
    """A form; lists stand repeatedly."""
    text = form if isinstance(form, str) else urlencode(form, doseq=True)
    sent = {"Content-Type": FORM, **(headers or {})}
    return client.with_token(None).call("POST", path, raw=text.encode(), headers=sent)


def error(answer: Answer) -> tuple[int, str]:
    assert set(answer.body) == {"error", "error_description"}, answer.raw
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, answer.body["error"]


def issuer(served: Served) -> str:
    return str(served.client.get("/.well-known/oauth-authorization-server").body["issuer"])


def payload(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    return jwt.decode(token, options={"verify_signature": False})


def counts(served: Served, token: str) -> bool:
    """Whether it speaks for anybody here."""
    return served.client.with_token(token).get("/v1/auth/me").status == 200
