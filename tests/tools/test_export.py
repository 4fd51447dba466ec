"""`gatebook audit export`, and the receiver that holds it against what was signed."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gatebook.domain import readings
from gatebook.domain.application.core import HOUR, By
from gatebook.domain.envelope import Actor
from gatebook.domain.errors import Conflict
from gatebook.store.checkpoints import CheckpointKey, parse
from gatebook.store.house import open_house
from gatebook.store.settings import Settings
from gatebook.tools import export_cef, export_jsonl, export_ocsf
from gatebook.tools.bench.sealed import Real
from gatebook.tools.bench.synthesize import synthesize
from gatebook.tools.main import run as gatebook
from tests.api.served import Deployment

RECEIVER = Path(__file__).parents[2] / "tools" / "receiver.py"
GATEBOOK = Path(sys.executable).parent / "gatebook"
EVENTS = 700
"""More than one page, and than two tiles."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """A deployment on a log of some hundred events; no server runs."""
    directory = tmp_path_factory.mktemp("exported")
    made = Deployment(directory, "sqlite:///gatebook.db", server="workers = 1")
    made.create()
    house = open_house(Settings.load(made.config, {}))
    synthesize(house.store, EVENTS, codec=Real(house))
    house.close()
    return made


@pytest.fixture
def export(deployment, capsys):
    """Runs an export. Returns (code, lines, errors)."""

    def run(*words, command="export"):
        capsys.readouterr()
        code = gatebook(["--config", str(deployment.config), "audit", command, *words])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return run


@pytest.fixture
def key(export):
    """The key that heads are verified with."""
    return export("--key", command="checkpoint")[1][0]


def received(key: str, lines: list[str], copy: Path | None = None) -> tuple[int, str]:
    words = [sys.executable, str(RECEIVER), key, *([str(copy)] if copy else [])]
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    return done.returncode, (done.stdout or done.stderr).strip()


def test_an_export_is_whole_and_recorded(export, key):
    """Each event in order with its leaf hash, one head at the end, and an event that says so."""
    code, lines, errors = export()
    assert code == 0, errors
    *events, last = map(json.loads, lines)
    head = parse(last["checkpoint"])[0]
    assert [event["position"] for event in events] == list(range(1, head.size + 1))
    assert head.size > EVENTS
    assert received(key, lines) == (0, f"{head.size} events, proved up to {head.size}")
    _, found, _ = export("--type", "audit.exported", "-n", "1", "--json", command="query")
    recorded = json.loads(found[0])
    assert recorded["data"] == {"format": "jsonl", "after": 0, "upto": head.size}
    assert recorded["actor"]["type"] == "local"


@pytest.mark.parametrize("form", [export_jsonl, export_ocsf, export_cef])
def test_every_format_has_every_event(export, form):
    """The lines of each format stand at each position once, and end in a head."""
    name = form.__name__.rpartition("_")[2]
    code, lines, errors = export("--format", name, "--after", "5")
    assert code == 0, errors
    places = [form.place_of(line) for line in lines]
    end = places[-1][0]
    assert places == [(position, False) for position in range(6, end + 1)] + [(end, True)]


@pytest.mark.parametrize("form", [export_jsonl, export_ocsf, export_cef])
def test_a_file_goes_on_wherever_it_was_cut(export, form, tmp_path):
    """After a kill at any byte the next run leaves each event in the file once."""
    name, copy = form.__name__.rpartition("_")[2], tmp_path / "copy"
    words = ("--format", name, "--output", str(copy))
    assert export(*words)[0] == 0
    whole = copy.read_bytes()
    ends = [0, 1, len(whole) - 1, whole[:-1].rindex(b"\n") + 1]
    for cut in ends + random.Random(3).sample(range(len(whole)), 4):
        copy.write_bytes(whole[:cut])
        code, said, errors = export(*words)
        assert code == 0, errors
        places = [form.place_of(line) for line in copy.read_text().splitlines()]
        events = [position for position, is_head in places if not is_head]
        assert events == list(range(1, len(events) + 1))
        assert places[-1] == (len(events), True)
        assert str(len(events)) in said[0]


def test_what_is_no_export_is_left_alone(export, tmp_path):
    """A file of something else, of another format, or in use is refused and not changed."""
    other = tmp_path / "notes.txt"
    other.write_text("my notes\n")
    code, _, errors = export("--output", str(other))
    assert (code, other.read_text()) == (1, "my notes\n")
    assert "does not end in a line of this format" in errors

    copy = tmp_path / "copy"
    assert export("--format", "cef", "--output", str(copy))[0] == 0
    before = copy.read_bytes()
    assert export("--format", "jsonl", "--output", str(copy))[0] == 1
    code, _, errors = export("--format", "cef", "--output", str(copy), "--after", "3")
    assert code == 1
    assert "leave out --after" in errors
    with copy.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, errors = export("--format", "cef", "--output", str(copy))
    assert (code, copy.read_bytes()) == (1, before)
    assert "another export" in errors
    assert export("--output", str(tmp_path / "no" / "copy"))[0] == 1


def test_beyond_the_newest_head_there_is_nothing(export):
    """A place that no signed head covers is refused, with the head that there is."""
    code, _, errors = export("--after", "99999999")
    assert code == 1
    assert "The newest checkpoint has" in errors
    assert export("--after", "-1")[0] == 2
    assert export("--format", "xml")[0] == 2


def test_exports_of_one_reader_are_bounded(deployment):
    """A reader cannot make the log grow without end by beginning copies."""
    house = open_house(Settings.load(deployment.config, {}))
    try:
        by = By(actor=Actor("local", "somebody"))
        event = readings.AuditExported(format="cef", after=0, upto=None)
        hour = house.clock.now() // HOUR
        for _ in range(readings.MAX_AN_HOUR):
            house.readings.export(by, event)
        if house.clock.now() // HOUR == hour:
            with pytest.raises(Conflict):
                house.readings.export(by, event)
    finally:
        house.close()


def test_a_broken_pipe_ends_quietly(deployment):
    """`export | head -1` leaves one line and no trace of trouble."""
    script = '"$0" --config "$1" audit export | head -n 1'
    done = subprocess.run(
        ["sh", "-c", script, GATEBOOK, str(deployment.config)],
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["position"] == 1
    assert done.stderr == ""


def _swapped(lines):
    return [*lines[:9], lines[10], lines[9], *lines[11:]]


def _edited(lines):
    """An event with the leaf hash of another."""
    one, other = json.loads(lines[9]), json.loads(lines[10])
    return [*lines[:9], json.dumps(one | {"leaf_hash": other["leaf_hash"]}), *lines[10:]]


def _forged(lines):
    """A head over fewer events, by a key that takes the name of the right one."""
    note = json.loads(lines[-1])["checkpoint"]
    head, forger = parse(note)[0], CheckpointKey(bytes(32))
    signed = forger.sign(head.size, head.root).replace(forger.verifier.origin, head.origin)
    return [*lines[:-1], json.dumps({"checkpoint": signed})]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:9], *lines[10:]], "event 11 follows event 9"),
        (lambda lines: [*lines[:10], lines[9], *lines[10:]], "event 10 follows event 10"),
        (_swapped, "event 11 follows event 9"),
        (_edited, "do not lead to what was signed"),
        (_forged, "is not signed by"),
        (lambda lines: [*lines[:-2], lines[-1]], "do not lead to what was signed"),
        (lambda lines: [lines[-1], *lines[:-1]], "0 events do not lead"),
        (lambda lines: ["no JSON", *lines], "receiver:"),
        (lambda lines: ['["a list"]', *lines], "receiver:"),
    ],
)
def test_the_receiver_finds(change, said, export, key):
    """A gap, a duplicate, another order, another hash, another signature: code 1 and one line."""
    _, lines, _ = export()
    code, told = received(key, change(lines))
    assert code == 1
    assert said in told
    assert "\n" not in told


def test_the_receiver_says_what_is_not_proved_yet(export, key, tmp_path):
    """Events behind the last head are kept and not called proved; alone they prove nothing."""
    _, lines, _ = export()
    events = len(lines) - 1
    copied = received(key, lines[:-1], tmp_path / "copy")
    assert copied == (0, f"{events} events, proved up to 0")
    assert received(key, lines[:-1]) == (
        1,
        f"receiver: {events} events, but a signed head for 0",
    )


def test_the_receiver_goes_on_from_any_cut(export, key, tmp_path):
    """Whatever of its input it saw, and however much of its copy is there, it goes on."""
    _, lines, _ = export()
    copy, chance = tmp_path / "copy", random.Random(5)
    position = 0
    for _ in range(6):
        some = chance.randrange(1, 300)
        assert received(key, lines[position : position + some], copy)[0] == 0
        with copy.open("ab") as file:
            file.write(os.urandom(chance.randrange(50)))
        told = subprocess.run(
            [sys.executable, RECEIVER, "--position", copy], capture_output=True, text=True
        )
        position = int(told.stdout)
    assert received(key, lines[position:], copy) == (
        0,
        f"{len(lines) - 1} events, proved up to {len(lines) - 1}",
    )
    assert copy.read_text().splitlines() == lines
    copy.write_text("")
    assert received(key, [], copy)[0] == 1


def test_the_receiver_needs_nothing_of_gatebook():
    """It imports the standard library and cryptography, so that it can be carried elsewhere."""
    text = RECEIVER.read_text()
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    found = [line.split()[1] for line in imports]
    assert [name for name in found if name.partition(".")[0] not in sys.stdlib_module_names] == [
        "cryptography.exceptions",
        "cryptography.hazmat.primitives.asymmetric.ed25519",
    ]
