"""`gatebook audit timeline`: states out of events, on a terminal, as JSON and as a page."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import pytest

from gatebook.store.system import SystemClock
from gatebook.tools.main import run as gatebook
from gatebook.tools.timeline import Bands, end_of, rows
from tests.api.served import ADMIN, PASSWORD, Deployment
from tests.tools.lives import BEGIN, DAY, HOSTILE, HOUR, MINUTE, live


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A deployment in which somebody lived for three weeks, and his id."""
    now = BEGIN

    def set_clock(at: int) -> None:
        nonlocal now
        now = at

    made = Deployment(tmp_path_factory.mktemp("lived"), "sqlite:///gatebook.db", server="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "now", lambda _self: now)
        made.create()
        account_id = live(made, set_clock)
    return made, account_id


@pytest.fixture
def timeline(lived, capsys):
    """Runs the command. Returns (code, output, errors)."""

    def run(*words):
        capsys.readouterr()
        code = gatebook(["--config", str(lived[0].config), "audit", "timeline", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def bands_of(life, group):
    """(label, begin, end) of a group's bands, in days since the account's world began."""
    return [
        (band["label"], band["begin"], band["end"] or band["until"])
        for band in life["bands"]
        if band["group"] == group
    ]


def at(day: int) -> int:
    """When the administrator changed something on that day, to the minute."""
    return BEGIN + day * DAY + 8 * HOUR + day * 7 * MINUTE


def test_states_are_what_the_life_was(timeline, lived):
    """Status, roles, the lock and the sessions begin and end when they did."""
    code, output, errors = timeline("mara", "--json")
    assert code == 0, errors
    life = json.loads(output)
    assert life["account"]["id"] == lived[1]

    status = bands_of(life, "Status")
    assert [label for label, _, _ in status] == ["active", "inactive", "active"]
    assert status[1][1] // DAY == at(10) // DAY
    assert status[1][2] // DAY == at(12) // DAY
    roles = {
        label: (begin // DAY, end and end // DAY) for label, begin, end in bands_of(life, "Roles")
    }
    assert roles["auditor"] == (at(4) // DAY, at(16) // DAY)
    assert roles["viewer"] == (BEGIN // DAY, None)
    assert roles["operator"] == (at(14) // DAY, None)
    ((label, begin, end),) = bands_of(life, "Locks")
    assert label == "Password locked"
    assert 0 <= end - begin < 15 * MINUTE  # an operator unlocked it
    assert len(bands_of(life, "Credentials")) == 2  # the password was set anew
    switched_off = status[1][1]
    for _, begin, end in bands_of(life, "Sessions"):
        assert not begin < switched_off < end


def test_moments_are_the_history(timeline):
    """Every event is there once, in order, in the words of the history, with who did it."""
    life = json.loads(timeline("mara", "--json")[1])
    moments = life["moments"]
    positions = [one["position"] for one in moments]
    assert positions == sorted(set(positions))
    texts = [one["text"] for one in moments]
    assert texts[0] == "The account was created as a human account."
    assert "The role auditor was granted." in texts
    assert {one["actor"] for one in moments} == {ADMIN, "mara", "anonymous"}
    failed = [one for one in moments if one["type"] == "login.failed"]
    assert {one["tone"] for one in failed} == {"bad"}


def test_a_window_has_the_states_that_stood_when_it_began(timeline):
    """With --since and --until: the events between, and every state that touches that time."""
    code, output, errors = timeline(
        "mara", "--since", "2026-08-05T12:00:00Z", "--until", "2026-08-06T12:00:00Z", "--json"
    )
    assert code == 0, errors
    life = json.loads(output)
    assert life["moments"] == []
    assert [label for label, _, _ in bands_of(life, "Status")] == ["inactive"]
    assert {label for label, _, _ in bands_of(life, "Roles")} == {"viewer", "auditor"}
    assert bands_of(life, "Sessions") == []
    assert life["account"]["status"] == "inactive"


def test_on_a_terminal(timeline):
    """Bars for states and a line an event; what others wrote steers nothing."""
    code, output, errors = timeline("mara")
    assert code == 0, errors
    assert "The account was switched off; its sessions and tokens ended." in output
    assert re.search(r"Roles +│ +━+ +│ +auditor", output)
    assert re.search(
        r"2026-08-05T\d\d:\d\d:00Z  The account was switched off.* first-admin +\d+", output
    )
    assert "\x1b" not in output


def test_bad_words(timeline):
    """A time that is none, an account that is none: one line each."""
    assert timeline("mara", "--since", "yesterday")[0] == 2
    code, _, errors = timeline("nobody-of-this-name")
    assert code == 1
    assert "there is no account" in errors
    assert timeline("mara", "--html", "/no/such/place.html")[0] == 1


class _Reader(HTMLParser):
    """What elements a page has, with what they refer to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [v or "" for name, v in attrs if name in ("src", "href")]
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone(timeline, tmp_path):
    """It refers to nothing outside, what people wrote is text, and only its owner may read it."""
    path = tmp_path / "life.html"
    code, output, errors = timeline("mara", "--html", str(path))
    assert code == 0, errors
    assert "to be opened in any browser" in output
    assert path.stat().st_mode & 0o777 == 0o600
    reader = _Reader()
    reader.feed(path.read_text())
    assert set(reader.references) == {"data:,"}
    assert reader.handlers == []
    assert "img" not in reader.tags
    assert reader.tags.count("script") == 2
    assert HOSTILE in reader.text
    assert reader.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in reader.policy
    assert path.read_text().count("</script>") == 2


def test_an_erased_account_is_shown_by_its_id(lived, timeline, tmp_path, monkeypatch):
    """What was erased is gone from the page too; what happened is not."""
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD))
    config = ["--config", str(lived[0].config), "--yes"]
    words = ["account", "create", "--username", "vanishing", "--password-stdin"]
    assert gatebook([*config, *words]) == 0
    account_id = json.loads(timeline("vanishing", "--json")[1])["account"]["id"]
    assert gatebook([*config, "account", "set-status", account_id, "deleted"]) == 0
    assert gatebook([*config, "account", "erase", account_id]) == 0

    path = tmp_path / "gone.html"
    code, _, errors = timeline(account_id, "--html", str(path))

    assert code == 0, errors
    assert "The personal data was destroyed." in path.read_text()
    assert "vanishing" not in path.read_text()


def test_one_session_that_was_kept_goes_on():
    """When all sessions of an account end but one, that one's band does not."""

    def event(kind, stream, position, **data):
        return {
            "type": kind,
            "recorded_at": f"2026-01-01T00:00:{position:02}Z",
            "position": position,
            "stream": {"type": "session", "id": stream, "version": 1},
            "data": data,
        }

    opened = {"origin": "login", "amr": ["pwd", "mfa"], "expires_at": "2026-01-01T00:00:50Z"}
    bands = Bands()
    for one in (
        event("session.opened", "a", 1, **opened),
        event("session.opened", "b", 2, **opened),
        event("account.tokens_revoked", "x", 3),
        event("session.kept", "b", 4),
        event("session.ended", "b", 9, cause="logout"),
    ):
        bands.fold(one)
    now = bands.all[0].begin + 600 * 1_000_000
    lasted = [(end_of(band, now) - band.begin) // 1_000_000 for band in bands.all]
    assert lasted == [2, 7]
    assert {band.label for band in bands.all} == {"Password, two factors"}
    assert len(rows(bands.all, now)) == 2
