"""Where a request comes from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gatebook.api.source import client_address, user_agent_class

PROXIES = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, garbage, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("::1", "[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1," * 1000 + "203.0.113.9", "203.0.113.9"),
    ],
)
def test_client_address(peer: str, forwarded: str | None, client: str) -> None:
    """The rightmost hop that is no proxy of ours, and only if a proxy of ours speaks."""
    assert client == client_address(peer, forwarded, PROXIES)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, "none"),
        ("", "none"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.34", "python"),
        ("Go-http-client/1.1", "go"),
        ("node-fetch/1.0", "node"),
        ("Java/21.0.1", "java"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "firefox"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML) Chrome/140.0 Safari/537.36", "chrome"),
        ("Mozilla/5.0 AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "edge"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1 Version/18.0 Safari/605.1", "safari"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "bot"),
        ("x" * 100_000, "other"),
    ],
)
def test_user_agent_class(header: str | None, name: str) -> None:
    """One word of a closed list, whatever the header."""
    assert name == user_agent_class(header)
