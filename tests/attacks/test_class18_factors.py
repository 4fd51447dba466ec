"""Class 18 for second factors: no secret of theirs stands in a file, an answer or an event.

Vault CVE-2024-8365; OpenBao CVE-2025-62513, -62705, CVE-2026-46358; authentik CVE-2026-40166.
"""

from __future__ import annotations

import base64
from pathlib import Path

from tests.api.factors import challenged, finish, with_totp
from tests.api.served import Deployment
from tests.attacks.test_class18_secrets import spellings

BROWSED = ("/v1/audit?limit=500", "/metrics", "/v1/accounts/{id}/history", "/v1/accounts/{id}",
           "/v1/accounts/{id}/credentials", "/v1/accounts/{id}/sessions")  # fmt: skip


def test_factors_leave_no_secret(tmp_path: Path) -> None:
    """TOTP secret, recovery codes and MFA tokens are found nowhere afterwards."""
    own = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    own.create()
    with own.served() as server:
        account, client, app = with_totp(server)
        headers = {"Idempotency-Key": "remembered"}
        offer = client.post("/v1/auth/totp", {}, headers=headers).body
        codes = client.post("/v1/auth/recovery-codes", {}, headers=headers).body["codes"]
        token = challenged(server.client, account["username"])
        wrong = "WRNG0-WRNG1"
        assert finish(server.client, token, recovery_code=wrong).status == 401
        assert finish(server.client, token, recovery_code=codes[0]).status == 200
        server.client.get(f"/v1/nothing?mfa_token={token}")
        shown = b"".join(server.admin.get(path.format(id=account["id"])).raw for path in BROWSED)
    secrets = [app.secret, offer["secret"], offer["otpauth_uri"], token, wrong, *codes]
    secrets += [code.replace("-", "") for code in codes]
    raw = [base64.b32decode(one) for one in (app.secret, offer["secret"])]
    wanted = [*raw, *(one.hex().encode() for one in raw)]
    wanted += [spelled for secret in secrets for spelled in spellings(secret)]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) >= 3
    for path, content in [*files.items(), ("answers", shown)]:
        assert [one for one in wanted if one in content] == [], path
