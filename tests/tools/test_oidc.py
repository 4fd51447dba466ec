"""`gatebook oidc`, `account identities` and what `doctor` says of providers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatebook.tools.main import run as gatebook
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment, Served
from tests.federation.browser import Browser
from tests.federation.conftest import MORE
from tests.federation.hostile import CLIENT_ID, CLIENT_SECRET, Provider, running

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """A deployment with a first admin that may reach providers on loopback; no server runs."""
    made = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1", more=MORE)
    made.create()
    return made


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that does everything right until it is told not to."""
    with running() as one:
        yield one


@pytest.fixture
def cli(
    deployment: Deployment,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Cli:
    """Runs a command on the deployment. Returns (code, output, errors)."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GATEBOOK_TOKEN", raising=False)

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = gatebook(["--config", str(deployment.config), *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def done(outcome: tuple[int, str, str]) -> Any:
    """The JSON that a command that succeeded printed."""
    code, output, errors = outcome
    assert code == 0, errors
    return json.loads(output)


def add(cli: Cli, provider: Provider, *more: str) -> Any:
    """The provider, configured as "Ours"."""
    words = ("--name", "Ours", "--issuer", provider.issuer, "--client-id", CLIENT_ID)
    said = ("--json", "oidc", "provider", "add", *words, "--client-secret-stdin", *more)
    return done(cli(*said, stdin=f"{CLIENT_SECRET}\n"))


def signed_in(served: Served, provider: Provider, provider_id: str) -> Any:
    """Whom a fresh browser is signed in as."""
    browser = Browser(served.client)
    browser.sign_in(provider_id, provider)
    return browser.get("/v1/auth/me")


def test_a_providers_life(cli: Cli, provider: Provider, tmp_path: Path) -> None:
    """Added, listed, shown, changed, tried out, refreshed, removed; the secret is never printed."""
    options = ("--scope", "openid", "--scope", "email", "--allowed-domain", "example.org")
    more = ("--groups-claim", "realm_access.roles", "--iat-window", "600", "--at-hash-optional")
    added = add(cli, provider, *options, *more, "--no-create-accounts", "--disabled")
    assert added["redirect_uri"].endswith("/auth/oidc/callback")
    assert added["scopes"] == ["openid", "email"]
    wanted = (False, False, False, 600)
    fields = ("enabled", "create_accounts", "at_hash_required", "iat_window")
    assert tuple(added[name] for name in fields) == wanted
    assert [one["id"] for one in done(cli("--json", "oidc", "provider", "list"))] == [added["id"]]
    secret = tmp_path / "secret"
    secret.write_text("another secret\n")
    words = ("--name", "Renamed", "--enabled", "--any-domain", "--client-secret-file", str(secret))
    done(cli("--json", "oidc", "provider", "update", "Ours", *words))
    shown = done(cli("--json", "oidc", "provider", "show", added["id"]))
    assert (shown["name"], shown["enabled"], shown["allowed_domains"]) == ("Renamed", True, [])
    assert shown["groups_claim"] == "realm_access.roles"
    refreshed = done(cli("--json", "oidc", "provider", "refresh", "Renamed"))
    assert refreshed["keys"] == [provider.key.kid]
    for words in (("Renamed",), ("--issuer", provider.issuer)):
        assert done(cli("--json", "oidc", "provider", "test", *words))["ok"] is True
    assert cli("oidc", "provider", "remove", "Renamed")[0] == 0
    assert done(cli("--json", "oidc", "provider", "list")) == []
    said = "".join(str(cli("--json", "audit", "query", "--category", "config")))
    assert "provider.removed" in said
    for one in (added, shown, said):
        assert CLIENT_SECRET not in str(one)
        assert "another secret" not in str(one)


def test_a_trial_that_fails(cli: Cli, provider: Provider) -> None:
    """The steps are told, and the exit code says it."""
    provider.metadata_changes = {"jwks_uri": "https://169.254.169.254/keys"}
    code, output, _errors = cli("oidc", "provider", "test", "--issuer", provider.issuer)
    assert code == 1
    assert "jwks_unreachable" in output
    assert "link-local" in output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("provider", "update", "Ours"), 2, "Say what to change"),
        (("provider", "show", "Nobody"), 1, "there is no provider 'Nobody'"),
        (("provider", "test"), 2, "--issuer"),
        (("provider", "update", "Ours", "--client-secret-stdin"), 2, "--client-secret-stdin reads"),
        (("mapping", "remove", "staff"), 2, "the mapping's id"),
        (("provider", "update", "Ours", "--groups-claim", "a..b"), 1, "dotted path"),
    ],
)
def test_what_is_no_command(
    cli: Cli, provider: Provider, words: tuple[str, ...], code: int, said: str
) -> None:
    """Each mistake is named in one line, with its exit code."""
    add(cli, provider)
    found, _output, errors = cli("oidc", *words)
    assert (found, said in errors) == (code, True), errors


def test_no_secret_without_a_terminal(cli: Cli, provider: Provider) -> None:
    """Where nobody can be asked, the option that reads it is named, and nothing is kept."""
    words = ("--name", "Ours", "--issuer", provider.issuer, "--client-id", CLIENT_ID)
    code, _output, errors = cli("oidc", "provider", "add", *words)
    assert (code, "use --client-secret-stdin" in errors) == (2, True)
    assert done(cli("--json", "oidc", "provider", "list")) == []


def test_two_of_one_name(cli: Cli, provider: Provider) -> None:
    """A name that two providers have names neither."""
    one, _two = add(cli, provider), add(cli, provider)
    code, _output, errors = cli("oidc", "provider", "show", "Ours")
    assert (code, "2 providers are called 'Ours'" in errors) == (1, True)
    assert done(cli("--json", "oidc", "provider", "show", one["id"]))["id"] == one["id"]


def test_linked_mapped_unlinked_removed(
    cli: Cli, provider: Provider, deployment: Deployment
) -> None:
    """A provider goes once its mappings and its links are gone; with a link go roles, sessions."""
    provider_id = add(cli, provider)["id"]
    mapped = done(cli("--json", "oidc", "mapping", "add", "Ours", "staff", "viewer"))
    listed = done(cli("--json", "oidc", "mapping", "list", "--provider", "Ours"))
    assert [(one["group"], one["role"]) for one in listed] == [("staff", "viewer")]
    with deployment.served() as served:
        browser = Browser(served.client)
        browser.sign_in(provider_id, provider)
        account_id = browser.get("/v1/auth/me").body["account"]["id"]
        code, _output, errors = cli("oidc", "provider", "remove", "Ours")
        assert (code, "accounts are linked to this provider (1)" in errors.lower()) == (1, True)
        [identity] = done(cli("--json", "account", "identities", account_id))
        assert identity["provider_id"] == provider_id
        code, _output, errors = cli("account", "unlink", account_id, identity["id"])
        assert (code, "--yes" in errors) == (2, True)
        assert browser.signed_in

        assert cli("--yes", "account", "unlink", account_id, identity["id"])[0] == 0

        assert not browser.signed_in
        assert done(cli("--json", "account", "show", account_id))["roles"] == []
        code, _output, errors = cli("oidc", "provider", "remove", "Ours")
        assert (code, "group mappings name this provider (1)" in errors.lower()) == (1, True)
        assert cli("oidc", "mapping", "remove", mapped["id"])[0] == 0
        assert cli("oidc", "provider", "remove", "Ours")[0] == 0


def test_through_a_server(
    cli: Cli, provider: Provider, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --server the same commands go through the API."""
    with deployment.served() as served:
        monkeypatch.setenv("GATEBOOK_TOKEN", served.token(ADMIN, ADMIN_PASSWORD))
        server = ("--server", f"http://{served.client.host}:{served.client.port}")
        words = ("--name", "Ours", "--issuer", provider.issuer, "--client-id", CLIENT_ID)
        said = (*server, "--json", "oidc", "provider", "add", *words, "--client-secret-stdin")
        provider_id = done(cli(*said, stdin=f"{CLIENT_SECRET}\n"))["id"]
        assert cli(*server, "oidc", "mapping", "add", "Ours", "staff", "viewer")[0] == 0
        assert signed_in(served, provider, provider_id).body["roles"] == ["viewer"]
    deployment.check_log({CLIENT_SECRET})


def test_at_hash_that_is_not_sent(cli: Cli, provider: Provider, deployment: Deployment) -> None:
    """Refused unless it is optional for this provider; a wrong one is refused even then."""
    provider_id = add(cli, provider)["id"]
    assert cli("oidc", "mapping", "add", "Ours", "staff", "viewer")[0] == 0
    with deployment.served() as served:
        provider.claims["at_hash"] = ...
        assert signed_in(served, provider, provider_id).status == 401
        assert cli("oidc", "provider", "update", "Ours", "--at-hash-optional")[0] == 0
        assert signed_in(served, provider, provider_id).status == 200
        for wrong in ("AAAAAAAAAAAAAAAAAAAAAA", "", None, 1):
            provider.claims["at_hash"] = wrong
            assert signed_in(served, provider, provider_id).status == 401
        assert cli("oidc", "provider", "update", "Ours", "--at-hash-required")[0] == 0
        provider.claims["at_hash"] = ...
        assert signed_in(served, provider, provider_id).status == 401


def of_doctor(cli: Cli) -> Any:
    """What `doctor` says of the one provider, or of there being none."""
    _code, output, _errors = cli("--json", "doctor")
    [found] = [one for one in json.loads(output) if "provider" in one["check"]]
    return found


@pytest.mark.parametrize(
    ("changes", "found", "mend"),
    [
        ({"issuer": "https://other.example"}, "discovery_failed", "oidc provider test"),
        ({"id_token_signing_alg_values_supported": ["HS256"]}, "alg_rejected", "RS256"),
        ({"jwks_uri": "https://169.254.169.254/k"}, "jwks_unreachable", "oidc provider refresh"),
        ({"id_token_signing_alg_values_supported": ["RS512"]}, "keys: 0 of 1 keys fit", "publish"),
        ({"token_endpoint": "https://10.0.0.1/token"}, "endpoints", "[outbound]"),
    ],
)
def test_doctor_names_what_a_provider_lacks(
    cli: Cli, provider: Provider, changes: dict[str, Any], found: str, mend: str
) -> None:
    """Each failure of a provider has its mend, and the exit code says it; no secret is sent."""
    add(cli, provider)
    assert cli("oidc", "mapping", "add", "Ours", "staff", "viewer")[0] == 0
    provider.metadata_changes = changes
    outcome = of_doctor(cli)
    assert (outcome["check"], outcome["state"]) == ("provider Ours", "wrong")
    assert outcome["found"].startswith(found)
    assert mend in outcome["mend"]
    assert cli("doctor")[0] == 1
    assert "/token" not in provider.asked


def test_doctor_when_all_is_well(cli: Cli, provider: Provider) -> None:
    """None, one that nobody can use for want of a mapping, a good one, one switched off."""
    assert of_doctor(cli)["found"] == "none"
    add(cli, provider)
    unmapped = of_doctor(cli)
    assert (unmapped["state"], "mapping add" in unmapped["mend"]) == ("wrong", True)
    assert cli("oidc", "mapping", "add", "Ours", "staff", "viewer")[0] == 0
    good = of_doctor(cli)
    assert (good["state"], good["found"]) == ("good", "1 of 1 keys fit. 1 groups mapped")
    assert cli("oidc", "provider", "update", "Ours", "--disabled")[0] == 0
    provider.asked.clear()
    assert of_doctor(cli)["found"] == "switched off"
    assert provider.asked == []
