"""`gatebook apikey`: made, listed, rotated and revoked at the command line."""

from __future__ import annotations

from tests.tools.test_cli import as_json, cli, deployment

__all__ = ["cli", "deployment"]
"""Fixtures."""


def test_a_keys_life_at_the_command_line(cli):
    """The key is printed once; the list never holds it, and is empty after the end."""
    account = as_json(cli("--json", "account", "create", "--username", "bot", "--type", "system"))
    words = ("apikey", "create", "bot", "--name", "ci", "--scope", "accounts.read")
    made = as_json(cli("--json", *words))
    assert (made["account_id"], made["scope"]) == (account["id"], "accounts.read")
    assert made["key"].startswith("gbk_")
    code, listed, _errors = cli("apikey", "list", "bot")
    assert code == 0
    assert made["id"] in listed
    assert made["key"].split("_", 2)[2] not in listed
    new = as_json(cli("--json", "apikey", "rotate", "bot", made["id"], "--overlap", "60"))
    assert (new["replaces"], new["name"]) == (made["id"], "ci")
    for key in (made, new):
        assert cli("apikey", "revoke", "bot", key["id"])[0] == 0
    assert as_json(cli("--json", "apikey", "list", "bot")) == []


def test_refusals(cli):
    """An unknown permission, account or key is said in one line, with exit code 1."""
    assert cli("account", "create", "--username", "bot", "--type", "system")[0] == 0
    for words in (
        ("create", "bot", "--scope", "everything"),
        ("create", "nobody"),
        ("revoke", "bot", "01920000-0000-7000-8000-000000000003"),
    ):
        code, _output, errors = cli("apikey", *words)
        assert (code, errors.count("\n")) == (1, 1), (words, errors)
