"""parity.md E9 to E17: passwords, accounts' states and tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.api.served import ELSEWHERE, PASSWORD


def validate(server, token):
    """The verdict on a token."""
    answer = server.client.post("/v1/token/validate", {"token": token})
    assert answer.status == 200
    return answer.body


def test_e9_a_login_gives_a_pair_and_the_token_says_who(served):
    """E9: iss, sub, jti, exp and the rest of RFC 9068; the account beside them."""
    account = served.account("viewer")
    pair = served.client.login(account["username"], PASSWORD)
    assert pair["token_type"] == "Bearer"
    verdict = validate(served, pair["access_token"])
    claims = verdict["claims"]
    assert claims["sub"] == account["id"]
    for member in ("iss", "aud", "exp", "iat", "nbf", "jti", "client_id", "sid", "auth_time"):
        assert claims[member], member
    assert (claims["roles"], claims["amr"]) == (["viewer"], ["pwd"])
    assert verdict["account"] == {
        "id": account["id"],
        "username": account["username"],
        "roles": ["viewer"],
    }


def refused_logins(served):
    """A request for each reason to refuse a sign-in, none of which may be told apart."""
    known, inactive, deleted, bare, locked = (
        served.account(password=None if n == 3 else PASSWORD) for n in range(5)
    )
    served.admin.patch(f"/v1/accounts/{inactive['id']}", {"status": "inactive"})
    served.admin.delete(f"/v1/accounts/{deleted['id']}")
    for _ in range(5):
        served.client.post("/v1/auth/login", {"username": locked["username"], "password": "wrong"})
    return {
        "wrong": {"username": known["username"], "password": "wrong password here"},
        "unknown": {"username": "nobody-has-this", "password": PASSWORD},
        "impossible": {"username": "no such name!", "password": PASSWORD},
        "inactive": {"username": inactive["username"], "password": PASSWORD},
        "deleted": {"username": deleted["username"], "password": PASSWORD},
        "bare": {"username": bare["username"], "password": PASSWORD},
        "locked": {"username": locked["username"], "password": PASSWORD},
    }


def test_e9_every_refused_login_is_the_same_to_the_byte(served):
    """E9: one 401 for every cause: status, headers and body, but for the request's own id."""
    seen = set()
    for body in refused_logins(served).values():
        answer = served.client.post("/v1/auth/login", body, headers={"X-Request-Id": "same"})
        assert answer.status == 401
        headers = sorted((k, v) for k, v in answer.headers.items() if k != "Date")
        seen.add((answer.raw, tuple(headers)))
    assert len(seen) == 1, seen


def test_e10_revoking_one_token_leaves_the_other(served):
    """E10: refused on every worker at once, the other accepted; again is no error."""
    account = served.account()
    first, second = (served.client.login(account["username"], PASSWORD) for _ in range(2))
    jti = validate(served, first["access_token"])["claims"]["jti"]
    assert served.admin.delete(f"/v1/token/{jti}").status == 204
    for _ in range(12):  # enough connections to meet both workers
        assert validate(served, first["access_token"]) == {"valid": False}
        assert validate(served, second["access_token"])["valid"]
    assert served.admin.delete(f"/v1/token/{jti}").status == 204
    unknown = "01920000-0000-7000-8000-000000000000"
    assert served.admin.delete(f"/v1/token/{unknown}").status == 404
    revoked = served.events(f"&type=token.revoked&account={account['id']}")
    assert len(revoked) == 1


def test_e11_revoke_all_catches_what_is_issued_meanwhile(served):
    """E11: while logins race, every token recorded before the revocation is refused after it."""
    account = served.account()
    revoked = threading.Event()
    tokens = []

    def sign_in():
        after = 0
        while after < 3 and len(tokens) < 5_000:
            after += revoked.is_set()  # begun after the revocation was answered: it counts
            tokens.append(served.client.login(account["username"], PASSWORD)["access_token"])

    with ThreadPoolExecutor(6) as pool:
        racers = [pool.submit(sign_in) for _ in range(6)]
        while len(tokens) < 12:
            time.sleep(0.01)
        assert served.admin.delete(f"/v1/accounts/{account['id']}/tokens").status == 204
        revoked.set()
        for racer in racers:
            racer.result(60)

    events = served.events(f"&account={account['id']}")
    [revocation] = [e["position"] for e in events if e["type"] == "account.tokens_revoked"]
    opened = {
        e["data"]["tokens"]["jti"]: e["position"] for e in events if e["type"] == "session.opened"
    }
    valid = 0
    for token in tokens:
        jti = jwt.decode(token, options={"verify_signature": False})["jti"]
        good = validate(served, token)["valid"]
        valid += good
        assert not (good and opened[jti] < revocation)
    assert 0 < valid < len(tokens)


@pytest.mark.parametrize("end", ["inactive", "deleted"])
def test_e12_switched_off_means_off(served, end):
    """E12: tokens, sessions and logins end; coming back restores the login, not the tokens."""
    account, client = served.signed_in()
    pair = served.client.login(account["username"], PASSWORD)
    path = f"/v1/accounts/{account['id']}"
    if end == "inactive":
        assert served.admin.patch(path, {"status": "inactive"}).status == 200
    else:
        assert served.admin.delete(path).status == 204
    login = {"username": account["username"], "password": PASSWORD}
    for _ in range(6):
        assert client.get("/v1/auth/me").status == 401
        assert validate(served, pair["access_token"]) == {"valid": False}
        assert served.client.post("/v1/auth/login", login).status == 401
        renewal = {"refresh_token": pair["refresh_token"]}
        assert served.client.post("/v1/auth/renew", renewal).status == 401
    if end == "inactive":
        assert served.admin.patch(path, {"status": "active"}).status == 200
    else:
        assert served.admin.post(f"{path}/restore").status == 200
    assert client.get("/v1/auth/me").status == 401
    # The refused tries above counted as failures of an account that was known.
    served.admin.post(f"{path}/unlock")
    assert served.client.post("/v1/auth/login", login).status == 200


def test_e13_renewing_swaps_the_pair(served):
    """E13: a new jti, the old one dead; a used, an ended and a forged refresh token are refused."""
    account = served.account()
    first = served.client.login(account["username"], PASSWORD)
    answer = served.client.post("/v1/auth/renew", {"refresh_token": first["refresh_token"]})
    assert answer.status == 200
    second = answer.body
    assert validate(served, first["access_token"]) == {"valid": False}
    assert validate(served, second["access_token"])["valid"]

    forged = second["refresh_token"][:-2] + "AA"
    assert served.client.post("/v1/auth/renew", {"refresh_token": forged}).status == 401
    assert validate(served, second["access_token"])["valid"], "a forgery must not end a session"

    used = {"refresh_token": first["refresh_token"]}
    assert served.client.post("/v1/auth/renew", used, headers=ELSEWHERE).status == 401
    assert validate(served, second["access_token"]) == {"valid": False}
    current = {"refresh_token": second["refresh_token"]}
    assert served.client.post("/v1/auth/renew", current).status == 401
    reused = served.events(f"&type=token.reuse_detected&account={account['id']}")
    assert len(reused) == 1


def test_e13_an_expired_refresh_token_is_refused(fresh):
    """E13: after its lifetime a refresh token renews nothing, and an access token opens nothing."""
    more = '\n[tokens]\naccess_lifetime = "3s"\nrefresh_lifetime = "5s"\n'
    fresh.config.write_text(fresh.config.read_text() + more)
    with fresh.served() as server:
        account = server.account()
        pair = server.client.login(account["username"], PASSWORD)
        client = server.client.with_token(pair["access_token"])
        time.sleep(3.1)
        assert client.get("/v1/auth/me").status == 401
        time.sleep(2.1)
        renewal = {"refresh_token": pair["refresh_token"]}
        assert server.client.post("/v1/auth/renew", renewal).status == 401


def raw_status(server, *lines):
    """The status of GET /v1/auth/me with these very header lines."""
    request = "\r\n".join(("GET /v1/auth/me HTTP/1.1", "Host: x", "Connection: close", *lines))
    with socket.create_connection((server.client.host, server.client.port), timeout=10) as sock:
        sock.sendall((request + "\r\n\r\n").encode("latin-1"))
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    return int(head.split()[1]), head.lower()


def test_e14_the_bearer_scheme_is_read_strictly(served):
    """E14: all that is not exactly one bearer token is 401; the scheme in any case."""
    _account, client = served.signed_in()
    token = client.token
    for line in (
        "Authorization: Basic x",
        f"Authorization: Bearer{token}",
        f"Authorization: BearerX {token}",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        f"Authorization: Bearer  {token}",
        f"Authorization: Bearer\t{token}",
        f"Authorization: Bearer {token} {token}",
        f"Authorization: Bearer {token},",
        f"Authorization: Bearer {token}, Bearer {token}",
        f"Authorization: Token {token}",
        f"Authorization: {token}",
        f"Authorization: Bearer {token}\r\nAuthorization: Bearer {token}",
        "Authorization: ",
        f"X-Authorization: Bearer {token}",
    ):
        status, head = raw_status(served, *line.split("\r\n"))
        assert status == 401, line[:60]
        assert "www-authenticate: bearer" in head
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert raw_status(served, f"Authorization: {scheme} {token}")[0] == 200


def b64(value):
    """base64url of JSON or bytes."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged_tokens(served, token):
    """Every classic way to forge or bend a JWT, by name."""
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    [jwk] = [
        key
        for key in served.client.get("/.well-known/jwks.json").body["keys"]
        if key["kid"] == header["kid"]
    ]
    mine = ec.generate_private_key(ec.SECP256R1())
    other = ed25519.Ed25519PrivateKey.generate()
    my_jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(mine.public_key()))

    def signed(changes=None, head=None, key=mine, algorithm="ES256"):
        members = header | {"alg": algorithm} | (head or {})
        signing = f"{b64(members)}.{b64(claims | (changes or {}))}"
        made = jwt.get_algorithm_by_name(algorithm).sign(signing.encode(), key)
        return f"{signing}.{b64(made)}"

    def hs256(secret):
        signing = f"{b64(header | {'alg': 'HS256'})}.{body}".encode()
        mac = hmac.new(secret, signing, hashlib.sha256).digest()
        return f"{signing.decode()}.{b64(mac)}"

    yield "another key", signed()
    yield "EdDSA under an ES256 kid", signed(key=other, algorithm="EdDSA")
    for alg in ("none", "None", "NONE", "nOnE", "", " none"):
        yield f"alg {alg!r}", f"{b64(header | {'alg': alg})}.{body}."
        yield f"alg {alg!r}, signed", f"{b64(header | {'alg': alg})}.{body}.{signature}"
    for secret in (json.dumps(jwk).encode(), jwk["x"].encode(), b"", jwk["kid"].encode()):
        yield "HS256 with public material", hs256(secret)
    for kid in ("", "../../dev/null", "' OR 1=1 --", "x" * 4000, "\x00", header["kid"] + "x"):
        yield f"kid {kid[:20]!r}", signed(head={"kid": kid})
    for extra in (
        {"crit": ["exp"]},
        {"jku": "http://127.0.0.1:9/jwks"},
        {"x5u": "http://127.0.0.1:9/x"},
        {"jwk": my_jwk},
        {"x5c": ["MII="]},
        {"b64": False},
        {"zip": "DEF"},
    ):
        yield f"header {next(iter(extra))}", signed(head=extra)
        yield f"header {next(iter(extra))}, ours", f"{b64(header | extra)}.{body}.{signature}"
    for typ in ("JWT", "at+JWT ", "logout+jwt", ""):
        yield f"typ {typ!r}", f"{b64(header | {'typ': typ})}.{body}.{signature}"
    yield "claims changed", f"{head}.{b64(claims | {'roles': ['admin']})}.{signature}"
    yield "signature cut", f"{head}.{body}.{signature[:-2]}"
    yield "signature gone", f"{head}.{body}."
    yield "padded", f"{head}.{body}.{signature}=="
    yield "spaced", f"{head}. {body}.{signature}"
    yield "four parts", f"{token}.{signature}"
    yield "two parts", f"{head}.{body}"
    yield "a newline behind", token + "\n"
    for place in (2, len(head) + 3, len(token) - 40):
        flipped = "A" if token[place] != "A" else "B"
        yield f"flipped at {place}", token[:place] + flipped + token[place + 1 :]


def test_e15_no_bent_token_is_accepted(served):
    """E15: none, HS256, kid, crit, jku, jwk, typ, cut, flipped: all refused."""
    _account, client = served.signed_in("viewer")
    tried = 0
    for name, token in forged_tokens(served, client.token):
        assert validate(served, token) == {"valid": False}, name
        if token.isprintable() and " " not in token and token.isascii():
            assert served.client.with_token(token).get("/v1/auth/me").status == 401, name
        tried += 1
    assert tried > 40
    assert validate(served, client.token)["valid"]


def test_e15_a_refresh_token_is_no_access_token(served):
    """Each kind of token is refused in the other's place."""
    account = served.account()
    pair = served.client.login(account["username"], PASSWORD)
    as_access = served.client.with_token(pair["refresh_token"])
    assert as_access.get("/v1/auth/me").status == 401
    wrong_way = {"refresh_token": pair["access_token"]}
    assert served.client.post("/v1/auth/renew", wrong_way).status == 401


def test_e15_an_audience_of_another_service_opens_nothing_here(served):
    """A token for another audience is valid to whoever asks, and no key to this API."""
    robot = served.account(kind="system")
    order = {"account_id": robot["id"], "audience": "https://other.example"}
    token = served.admin.post("/v1/token/issue", order).body["access_token"]
    assert validate(served, token)["valid"]
    assert served.client.with_token(token).get("/v1/auth/me").status == 401


def test_e16_pruning_shrinks_the_list_and_not_the_log(fresh):
    """E16: expired tokens leave the read models; the log at an earlier position has them."""
    from tests.acceptance.test_bootstrap import run

    with fresh.served() as server:
        robot = server.account(kind="system")
        order = {"account_id": robot["id"], "expires_in": 1}
        issued = [server.admin.post("/v1/token/issue", order).body["jti"] for _ in range(3)]
        time.sleep(2)
        info = run(fresh, "--json", "store", "info")
        before = json.loads(info.stdout)["tokens"]
        assert run(fresh, "token", "prune").returncode == 0
        after = json.loads(run(fresh, "--json", "store", "info").stdout)["tokens"]
        assert (before, after) == (3, 0)
        events = server.events(f"&type=token.issued&account={robot['id']}")
        assert [event["stream"]["id"] for event in events] == issued


def test_e17_signing_keys_rotate(served):
    """E17: new tokens carry the new kid, the old verify until their key is retired."""
    account = served.account()
    old = served.client.login(account["username"], PASSWORD)["access_token"]
    old_kid = jwt.get_unverified_header(old)["kid"]
    rotated = served.admin.post("/v1/keys/rotate", {"lead": 0})
    assert rotated.status == 201
    assert served.admin.post(f"/v1/keys/{rotated.body['kid']}/retire").status == 409
    new = served.client.login(account["username"], PASSWORD)["access_token"]
    assert jwt.get_unverified_header(new)["kid"] == rotated.body["kid"]
    published = {key["kid"] for key in served.client.get("/.well-known/jwks.json").body["keys"]}
    assert {old_kid, rotated.body["kid"]} <= published
    assert validate(served, old)["valid"]
    served._admin = None  # its token was signed by the old key
    assert served.admin.post(f"/v1/keys/{old_kid}/retire").status == 200
    for _ in range(8):
        assert validate(served, old) == {"valid": False}
        assert validate(served, new)["valid"]
    published = {key["kid"] for key in served.client.get("/.well-known/jwks.json").body["keys"]}
    assert old_kid not in published
    for key in served.client.get("/.well-known/jwks.json").body["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
