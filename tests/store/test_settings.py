"""The configuration: what is read, what is overridden, and what is refused in one line."""

from __future__ import annotations

import pytest

from gatebook.store.setting_checks import is_loopback, split_address
from gatebook.store.setting_sections import HOUR, MINUTE
from gatebook.store.settings import ConfigurationError, Settings

KEY = '[master_key]\nkey_file = "master.key"\n'


@pytest.fixture
def write(tmp_path):
    """Writes a configuration and loads it."""

    def load(text, environment=None):
        path = tmp_path / "gatebook.toml"
        path.write_text(text)
        return Settings.load(path, environment or {})

    return load


def test_the_defaults_are_the_contracts(write, tmp_path):
    """Nothing but the key is needed."""
    settings = write(KEY)
    assert settings.server.listen == "127.0.0.1:8440"
    assert settings.store_url == f"sqlite:///{tmp_path}/gatebook.db"
    assert settings.tokens.access_lifetime == 15 * MINUTE
    assert settings.tokens.algorithm == "ES256"
    assert (settings.passwords.min_bytes, settings.passwords.max_bytes) == (12, 256)
    assert settings.passwords.argon2_memory == 64 * 2**20
    assert (settings.lockout.threshold, settings.lockout.duration) == (5, 15 * MINUTE)
    assert settings.lockout.reset == HOUR
    assert settings.issuer == settings.audience == "http://127.0.0.1:8440"
    assert not settings.breakglass.enabled


def test_the_environment_overrides_any_key(write):
    """Text, numbers, durations, lists and truth values."""
    settings = write(
        KEY,
        {
            "GATEBOOK__SERVER__LISTEN": "127.0.0.1:9000",
            "GATEBOOK__SERVER__WORKERS": "3",
            "GATEBOOK__SERVER__TRUSTED_PROXIES": '["10.0.0.0/8"]',
            "GATEBOOK__BREAKGLASS__ENABLED": "true",
            "GATEBOOK__TOKENS__ACCESS_LIFETIME": "5m",
            "UNRELATED": "x",
        },
    )
    assert settings.server.listen == "127.0.0.1:9000"
    assert settings.server.workers == 3
    assert settings.server.trusted_proxies == ["10.0.0.0/8"]
    assert settings.breakglass.enabled
    assert settings.tokens.access_lifetime == 5 * MINUTE


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nlisten_addr = 'x'\n" + KEY, "listen_addr"),
        ("[sever]\n" + KEY, "(is server meant?)"),
        ("[server]\nlisen = 'x'\n" + KEY, "(is listen meant?)"),
        ("directory = 'x'\n" + KEY, "directory"),
        ("[server]\nworkers = '2'\n" + KEY, "workers"),
        ("[server]\nworkers = -1\n" + KEY, "workers"),
        ("[server]\nlisten = '127.0.0.1'\n" + KEY, "listen"),
        ('[audit]\ncheckpoint_interval = "10ms"\n' + KEY, "checkpoint_interval"),
        ("[server]\nlisten = '127.0.0.1:99999'\n" + KEY, "listen"),
        ("[server]\nlisten = ':8440'\n" + KEY, "behind_tls_proxy"),
        ("[server]\nlisten = '[::]:8440'\n" + KEY, "behind_tls_proxy"),
        ("[server]\nmanagement_listen = '192.0.2.1:1'\n" + KEY, "management_listen"),
        ("[server]\nlisten = ':1'\nbehind_tls_proxy = true\n" + KEY, "public_url is missing"),
        ("[server]\npublic_url = 'https://a.example/sub'\n" + KEY, "without a path"),
        ("[server]\npublic_url = 'ftp://a.example'\n" + KEY, "public_url"),
        ("[server]\npublic_url = 'http://a.b'\nbehind_tls_proxy = true\n" + KEY, "write https"),
        ("[server]\ntls_cert = 'x'\n" + KEY, "tls_key"),
        ("[server]\ntls_cert = 'x'\ntls_key = 'y'\n" + KEY, "TLS proxy"),
        ("[server]\ntrusted_proxies = ['everyone']\n" + KEY, "everyone"),
        ("[server]\nmax_body = '64kb'\n" + KEY, "max_body"),
        ("[tokens]\naccess_lifetime = 15\n" + KEY, "access_lifetime"),
        ("[tokens]\naccess_lifetime = '0s'\n" + KEY, "lifetimes"),
        ("[tokens]\nalgorithm = 'HS256'\n" + KEY, "algorithm"),
        ("[passwords]\nmin_bytes = 300\n" + KEY, "min_bytes"),
        ("[passwords]\nargon2_memory = '8KiB'\n" + KEY, "argon2_memory"),
        ("[store]\nurl = 'mysql://x'\n" + KEY, "url"),
        ("", "master_key"),
        ("[master_key]\nkey_file = 'a'\npassphrase_file = 'b'\n", "master_key"),
        ("[server\n", "gatebook.toml"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(write, text, named):
    """Unknown keys, wrong types, half pairs, open listeners."""
    with pytest.raises(ConfigurationError) as refused:
        write(text)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value).strip()


@pytest.mark.parametrize(
    "name", ["GATEBOOK__SERVER__LISTENN", "GATEBOOK__NOPE__X", "GATEBOOK__SERVER", "GATEBOOK__"]
)
def test_an_override_of_nothing_is_refused(write, name):
    """A misspelt variable is not ignored."""
    with pytest.raises(ConfigurationError, match=name):
        write(KEY, {name: "1"})


def test_a_file_that_is_not_there_is_named(tmp_path):
    """So is one that is no text."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        Settings.load(tmp_path / "nowhere.toml", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="binary"):
        Settings.load(tmp_path / "binary", {})


def test_the_issuer_speaks_as_the_listener_does(write):
    """Without a public URL the address of the listener is taken, with the scheme of its own."""
    assert write(KEY).issuer == "http://127.0.0.1:8440"
    tls = "[server]\nengine = 'granian'\ntls_cert = 'x'\ntls_key = 'y'\n"
    assert write(tls + KEY).issuer == "https://127.0.0.1:8440"
    assert write(tls + KEY).passkey_origins == ["https://127.0.0.1:8440"]


@pytest.mark.parametrize(
    ("server", "secure"),
    [
        ("", False),
        ("public_url = 'http://localhost:8440'", False),
        ("public_url = 'https://a.example'", True),
        ("behind_tls_proxy = true", True),
    ],
)
def test_how_browsers_come(write, server, secure):
    """By https when the public URL says so, whatever the listener speaks to a proxy."""
    assert write(f"[server]\n{server}\n{KEY}").server.is_secure is secure


def test_addresses():
    """Hosts by name, IPv4 and IPv6; what is only this machine."""
    assert split_address("[::1]:80") == ("::1", 80)
    assert split_address(":80") == ("", 80)
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "10.0.0.1", "example.org")))
