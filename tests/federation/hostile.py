"""A small identity provider that does everything right, until it is told to do one thing wrong."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, quote, unquote_plus, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

CLIENT_ID = "gatebook-test"
CLIENT_SECRET = "hostile provider's shared secret 7f"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

_MAKERS: dict[str, Callable[[], Any]] = {
    "RS": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed": ed25519.Ed25519PrivateKey.generate,
}


class Key:
    """A signing key and its published half."""

    def __init__(self, algorithm: str = "ES256", kid: str | None = None) -> None:
        self.algorithm = algorithm
        self.private = _MAKERS[algorithm[:2]]()
        self.kid = kid or secrets.token_hex(4)

    @property
    def jwk(self) -> dict[str, Any]:
        of = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}
        public = of[self.algorithm[:2]].to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        given = {"kid": self.kid, **headers}
        return jwt.encode(
            claims,
            self.private,
            algorithm=self.algorithm,
            headers={k: v for k, v in given.items() if v is not None},
        )


class Provider:
    """Started by `running`. Everything public here may be changed between two requests."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.issuer = base
        self.key = Key()
        self.published = [self.key]
        self.metadata_changes: dict[str, Any] = {}
        self.claims: dict[str, Any] = {"sub": "alice-1", "groups": ["staff"]}
        self.userinfo: dict[str, Any] | None = None
        self.token_changes: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] | None = None
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.with_iss = True

    def metadata(self) -> dict[str, Any]:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "userinfo_endpoint": f"{self.base}/userinfo",
            "jwks_uri": f"{self.base}/jwks",
            "end_session_endpoint": f"{self.base}/logout",
            "id_token_signing_alg_values_supported": ["ES256", "RS256", "PS256", "EdDSA"],
            "authorization_response_iss_parameter_supported": self.with_iss,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
        }
        changed = {**said, **self.metadata_changes}
        return {name: value for name, value in changed.items() if value is not None}

    def authorize(self, location: str) -> str:
        """The query that the browser comes back with, once somebody has agreed."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert asked["response_type"] == "code"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "code": code}
        back = {"code": code, "state": asked["state"]}
        if self.with_iss:
            back["iss"] = self.issuer
        return "&".join(f"{name}={_quoted(value)}" for name, value in back.items())

    def id_token(self, asked: dict[str, str], access_token: str) -> str:
        now = int(time.time())
        digest = hashlib.sha256(access_token.encode()).digest()
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "code": asked["code"],
            "at_hash": _b64(digest[:16]),
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not ...}
        return self.sign(claims) if self.sign is not None else self.key.sign(claims)

    def logout_token(self, key: Key | None = None, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
            "events": {LOGOUT_EVENT: {}},
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not ...}
        return (key or self.key).sign(claims, typ="logout+jwt")

    def redeem(self, form: dict[str, str], authorization: str | None) -> tuple[int, Any]:
        asked = self.codes.pop(form.get("code", ""), None)
        given = _secret(form, authorization)
        if asked is None or given != (CLIENT_ID, CLIENT_SECRET):
            return 400, {"error": "invalid_grant"}
        challenge = _b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(24)
        answer = {
            "access_token": access_token,
            "token_type": "Bearer",
            "id_token": self.id_token(asked, access_token),
            **self.token_changes,
        }
        return 200, {name: value for name, value in answer.items() if value is not ...}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for the provider of its server."""

    protocol_version = "HTTP/1.1"

    @property
    def provider(self) -> Provider:
        provider: Provider = self.server.provider  # type: ignore[attr-defined] # set by running
        return provider

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.provider.asked.append(path)
        if path in self.provider.answers:
            self.provider.answers[path](self)
        elif path == "/.well-known/openid-configuration":
            self.say(200, self.provider.metadata())
        elif path == "/jwks":
            self.say(200, {"keys": [key.jwk for key in self.provider.published]})
        elif path == "/userinfo":
            self.say(200, self.provider.userinfo or {})
        else:
            self.say(404, {})

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        self.provider.asked.append(path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if path in self.provider.answers:
            self.provider.answers[path](self)
            return
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.say(*self.provider.redeem(form, self.headers.get("Authorization")))

    def say(self, status: int, body: Any, content_type: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def running() -> Iterator[Provider]:
    """A provider on loopback, for as long as the block lasts."""
    with _Server(("127.0.0.1", 0), Handler) as server:
        provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        server.provider = provider  # type: ignore[attr-defined] # for the handler
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


def _secret(form: dict[str, str], authorization: str | None) -> tuple[str, str]:
    if authorization is None:
        return form.get("client_id", ""), form.get("client_secret", "")
    pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
    client_id, _, secret = pair.partition(":")
    return _unquoted(client_id), _unquoted(secret)


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _unquoted(text: str) -> str:
    return unquote_plus(text)
