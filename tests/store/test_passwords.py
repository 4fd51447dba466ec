"""Passwords and names: the rules, the hash, the gate before it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from gatebook.domain.errors import InvalidValue, Overloaded, WeakPassword
from gatebook.store.hash_gate import HashGate
from gatebook.store.names import PrecisNames
from gatebook.store.passwords import Argon2, Blocklist, Password
from gatebook.store.setting_sections import PasswordSettings, Size

CHEAPEST = PasswordSettings(argon2_memory=Size(64 * 1024), argon2_time=1)
GOOD = "tulip anchor meadow 93"


@pytest.fixture
def argon2(tmp_path):
    """The cheapest parameters, only for testing."""
    return Argon2(CHEAPEST, HashGate(tmp_path, 2, 8), Blocklist(None))


def test_a_password_verifies_and_another_does_not(argon2):
    """The PHC string says Argon2id with the configured cost."""
    phc = Password(GOOD, argon2).hash([])
    assert phc.startswith("$argon2id$v=19$m=64,t=1,p=4$")
    assert Password(GOOD, argon2).matches(phc)
    assert not Password(GOOD + "x", argon2).matches(phc)
    assert not Password(GOOD, argon2).matches(None)
    assert not Password(GOOD, argon2).matches("no PHC string")


def test_spellings_of_the_same_text_are_the_same_password(argon2):
    """NFKC: composed or decomposed, wide or narrow."""
    phc = Password("Zürich ﬁne tulip 93", argon2).hash([])
    assert Password("Zu\u0308rich fine tulip 93", argon2).matches(phc)


@pytest.mark.parametrize(
    "text",
    [
        "qpwoeirutyalskdjfhgz",
        "correct-horse-staple-battery-7",
        "🦊🐙🌵🎻🚲🧭🪁🫖🧶🦜",
        "пароль из шести слов 42",
        "x" * 3 + " lantern quilt zebra" * 6,
        "    tulip anchor meadow    ",
    ],
)
def test_no_rule_of_composition(text, argon2):
    """Any characters, spaces and emoji, up to 256 bytes."""
    assert Password(text, argon2).matches(Password(text, argon2).hash([]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tulip 93 !?",
        "a" * 257,
        "password1234",
        "qwertyuiop123",
        "aaaaaaaaaaaaaaaa",
        "123456789012345",
        "iloveyouiloveyou",
        "abcdefghijklmnop",
        "Password123456!",
        "letmeinletmein1",
        "alice.wonderland",
        "dnalrednow.ecila",
        "alice@example.org",
        "alice.wonderland1",
    ],
)
def test_weak_passwords_are_refused_with_a_reason(text, argon2):
    """Short, long, common, repeated, sequential, or one's own name, also backwards."""
    context = ["alice.wonderland", "Alice Wonderland", "alice@example.org", "gatebook"]
    with pytest.raises(WeakPassword) as refused:
        Password(text, argon2).hash(context)
    assert refused.value.detail.endswith(".")
    assert not text or text not in refused.value.detail


def test_the_length_is_in_bytes(argon2):
    """12 to 256 bytes after normalisation."""
    assert Password("tulip 93 !?é", argon2).hash([])
    longest = ("tulip anchor meadow 93 " * 20)[:256]
    assert Password(longest, argon2).hash([])
    for longer in (longest + "x", longest[:-1] + "é"):
        with pytest.raises(WeakPassword, match="at most"):
            Password(longer, argon2).hash([])


def test_an_impossible_password_costs_a_hash_and_never_matches(argon2):
    """Too long or empty to have been set: verified against nothing."""
    phc = argon2.hash(b"")
    assert not Password("", argon2).matches(phc)
    assert not Password("x" * 60_000, argon2).matches(phc)


def test_half_a_character_is_not_text(argon2):
    """A lone surrogate is an invalid value, not an error of ours."""
    with pytest.raises(InvalidValue):
        Password("tulip \ud800 anchor", argon2)


def test_a_password_is_not_shown(argon2):
    """Neither in its representation nor in an error."""
    assert GOOD not in repr(Password(GOOD, argon2))
    assert GOOD not in f"{Password(GOOD, argon2)}"


def test_other_parameters_are_outdated(argon2, tmp_path):
    """A hash with yesterday's parameters verifies, and is said to be outdated."""
    dearer = PasswordSettings(argon2_memory=Size(128 * 1024), argon2_time=1)
    today = Argon2(dearer, HashGate(tmp_path, 2, 8), Blocklist(None))
    phc = Password(GOOD, argon2).hash([])
    assert Password(GOOD, today).matches(phc)
    assert Password(GOOD, today).outdated(phc)
    assert not Password(GOOD, today).outdated(Password(GOOD, today).rehash())


def test_the_blocklist_is_searched_in_both_forms(tmp_path, argon2):
    """Plain lines, and sorted SHA-1 lines with counts; first, last and in between."""
    import hashlib

    words = ["first listed words 11", "middle listed words 22", "last listed words 33"]
    plain = tmp_path / "plain"
    plain.write_text("\n".join(words))
    hashes = tmp_path / "hashes"
    digests = sorted(hashlib.sha1(word.encode()).hexdigest().upper() for word in words)
    digests += sorted(hashlib.sha1(str(n).encode()).hexdigest().upper() for n in range(500))
    hashes.write_text("".join(f"{digest}:{n}\n" for n, digest in enumerate(sorted(digests))))
    for path in (plain, hashes):
        blocklist = Blocklist(path)
        assert all(blocklist.holds(word) for word in words)
        assert not any(blocklist.holds(word) for word in ("listed words", "first", "", GOOD))
        listed = Argon2(CHEAPEST, argon2.gate, blocklist)
        with pytest.raises(WeakPassword, match="list of known"):
            Password(words[1], listed).hash([])
        blocklist.close()


def test_the_gate_bounds_hashes_over_processes(tmp_path):
    """Two processes share the slots: never more hashes at once than slots."""
    program = (
        "import sys, time, pathlib\n"
        "from gatebook.store.hash_gate import HashGate\n"
        "gate = HashGate(pathlib.Path(sys.argv[1]), 1, 8)\n"
        "for _ in range(8):\n"
        "    with gate.slot():\n"
        "        print('in', time.monotonic_ns()); time.sleep(0.01)\n"
        "        print('out', time.monotonic_ns())\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=60)[0].decode() for child in children]
    moments = sorted(
        (int(at), word)
        for text in said
        for word, at in (line.split() for line in text.splitlines())
    )
    assert [word for _at, word in moments] == ["in", "out"] * 16


def test_a_dead_process_frees_its_slot(tmp_path):
    """A slot is the kernel's: killed with it taken, the next one gets it."""
    program = (
        "import sys, time, pathlib\n"
        "from gatebook.store.hash_gate import HashGate\n"
        "with HashGate(pathlib.Path(sys.argv[1]), 1, 8).slot():\n"
        "    print('in', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"in\n"
    child.kill()
    child.wait()
    child.stdout.close()
    began = time.monotonic()
    with HashGate(tmp_path, 1, 8).slot():
        assert time.monotonic() - began < 1


def test_a_full_queue_is_said_at_once(tmp_path):
    """Beyond the queue the caller is told to come back, without waiting."""
    gate = HashGate(tmp_path, 1, 2)
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with gate.slot():
            entered.set()
            leave.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert entered.wait(5)
    deadline = time.monotonic() + 5
    while gate.depth < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(Overloaded) as refused, gate.slot():
        pass
    assert refused.value.retry_after >= 1
    leave.set()
    for thread in threads:
        thread.join()
    assert gate.depth == 0


class FixedDerivation:
    """Stands in for the keyring's derivation."""

    def derive(self, purpose, *parts):
        import hashlib

        return hashlib.sha256(purpose.encode() + b"|".join(parts)).digest()


NAMES = PrecisNames(FixedDerivation())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "ALICE"),
        ("alice", "\uff41lice"),
        ("fußball", "FUSSBALL".lower().replace("ss", "ß")),
        ("zoë", "zoe\u0308"),
        ("ångström", "A\u030angstro\u0308m"),
        ("user.name-1", "User.Name-1"),
    ],
)
def test_spellings_of_one_name_are_one_name(one, other):
    """Case, width and composition do not make another name."""
    assert NAMES.stream_id(NAMES.enforce(one)) == NAMES.stream_id(NAMES.enforce(other))


@pytest.mark.parametrize(("one", "other"), [("alice", "\u0430lice"), ("rn", "m"), ("o", "0")])
def test_different_names_stay_different(one, other):
    """Names are never merged because they look alike."""
    assert NAMES.stream_id(NAMES.enforce(one)) != NAMES.stream_id(NAMES.enforce(other))


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        " alice",
        "alice ",
        "a\tb",
        "a\nb",
        "a\x00b",
        "a\u200bb",
        "a\u202eb",
        "a/b",
        "..\\a",
        "\ud800",
        "x" * 65,
        "\u2028",
        "\ufeffalice",
        "a\u00adb",
        "①",
        "\U000e0001",
    ],
)
def test_what_precis_forbids_is_no_name(name):
    """Spaces, controls, invisible and directional characters, slashes, over-long names."""
    with pytest.raises(InvalidValue) as refused:
        NAMES.enforce(name)
    assert refused.value.pointer == "/username"
