"""Files of signed heads as the verifier reads them: many notes, cosigned, torn, strange."""

from __future__ import annotations

import base64

import pytest

from gatebook.store.checkpoints import CheckpointKey
from gatebook.tools.verify import Key, Unreadable, Verifier, main

SIGNER = CheckpointKey(b"another seed of thirty-two bytes")
KEY = Key.parse(str(SIGNER.verifier))
ROOT = bytes(range(32))


def read(text, keys=(KEY,)):
    """The report over a file, and how many heads of it count."""
    verifier = Verifier(list(keys))
    verifier.take_file(text.splitlines(keepends=True), "FILE")
    return verifier.verdict(1.0)


def kinds(report):
    return [one.kind for one in report.problems]


def test_many_notes_one_after_the_other():
    """Each counts, with and without signatures of others beside ours."""
    other = f"— witness.example/w {base64.b64encode(bytes(76)).decode()}\n"
    text = "".join(SIGNER.sign(size, ROOT) + (other if size % 2 else "") for size in range(1, 8))
    report = read(text)
    assert report.ok
    assert (report.heads, report.newest_head, report.warnings) == (7, 7, [])


@pytest.mark.parametrize("cut", [1, 20, 80, 120, 200])
def test_a_torn_end_is_noted_and_no_alarm(cut):
    """A power cut leaves half a note at the end, which the signer completes later."""
    whole = SIGNER.sign(1, ROOT)
    report = read(whole + SIGNER.sign(2, ROOT)[:-cut])
    assert report.ok
    assert report.heads == 1
    assert "ends in the middle" in report.warnings[0]


@pytest.mark.parametrize("strange", ["no head at all\n", "\n\n", "x\n1\ny\n\n— z z\n"])
def test_something_between_two_notes_is_wrong(strange):
    """What is no head of this log does not pass in silence."""
    report = read(SIGNER.sign(1, ROOT) + strange + SIGNER.sign(2, ROOT))
    assert "head" in kinds(report)


def test_heads_of_a_former_key_need_that_key():
    """A log whose keyring was lost has heads of two keys: both are given."""
    former = CheckpointKey(b"the first seed of thirty-two byt")
    text = former.sign(1, ROOT) + SIGNER.sign(2, ROOT)
    assert kinds(read(text)) == ["head"]
    report = read(text, (KEY, Key.parse(str(former.verifier))))
    assert (report.ok, report.heads) == (True, 2)


def test_a_wrong_key_is_one_line(tmp_path):
    """Not one a head: a log has a thousand of them in time."""
    other = Key.parse(str(CheckpointKey(b"the first seed of thirty-two byt").verifier))
    text = "".join(SIGNER.sign(size, ROOT) for size in range(1, 8))
    report = read(text, (other,))
    assert [one.message for one in report.problems] == [
        "none of the 7 heads in FILE is signed with this key"
    ]
    verifier = Verifier([other])
    for name in ("A", "B"):
        verifier.take_file(text.splitlines(keepends=True), name)
    report = verifier.verdict(1.0)
    assert [one.message for one in report.problems] == [
        "none of the 14 heads is signed with this key"
    ]


HEADLESS = {
    "empty": "",
    "a problem": '{"type": "about:blank", "status": 404}',
    "others": "root:x:0:0:root:/root:/bin/bash\n" * 9,
    "a head that was cut": SIGNER.sign(1, ROOT)[:100],
}


@pytest.mark.parametrize("name", HEADLESS)
def test_a_file_that_was_given_must_hold_a_head(name):
    """Nothing is proven with a file that says nothing; a witness may be empty yet."""
    lines = HEADLESS[name].splitlines(keepends=True)
    verifier = Verifier([KEY])
    verifier.take_file(SIGNER.sign(1, ROOT).splitlines(keepends=True), "OTHER")
    verifier.take_file(lines, "FILE", must=True)
    report = verifier.verdict(1.0)
    assert [one.message for one in report.problems] == ["FILE holds no signed head of this key"]
    verifier = Verifier([KEY])
    verifier.take_file(SIGNER.sign(1, ROOT).splitlines(keepends=True), "OTHER")
    verifier.take_file(lines, "FILE")
    assert verifier.verdict(1.0).ok


def test_the_report_says_of_each_file_what_counted():
    """How many heads it gave, and the newest of them."""
    verifier = Verifier([KEY])
    verifier.take_file(
        (SIGNER.sign(1, ROOT) + SIGNER.sign(30, ROOT)).splitlines(keepends=True), "kept", must=True
    )
    assert "kept: of 2 heads 2 count, the newest is of 30 events" in str(verifier.verdict(1.0))


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n12\n", "\n13\n"),
        lambda note: note.replace("\n12\n", "\n012\n"),
        lambda note: note.replace("\n12\n", "\n-1\n"),
        lambda note: note.replace("\n\n", "\nextension\n\n", 1),
        lambda note: note.replace(SIGNER.verifier.origin, "gatebook/0", 1),
    ],
)
def test_a_note_that_was_changed_does_not_count(change):
    """Size, form, lines and origin are signed."""
    report = read(change(SIGNER.sign(12, ROOT)))
    assert kinds(report)[0] == "head"
    assert (report.ok, report.heads) == (False, 0)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "gatebook/x",
        "gatebook/x+00000000+AAAA",
        str(SIGNER.verifier)[:-4],
        str(SIGNER.verifier).replace("gatebook/", "gatebook/0"),
    ],
)
def test_a_key_that_is_none_is_refused(vkey, capsys):
    """With code 3, before anything is read."""
    with pytest.raises(Unreadable):
        Key.parse(vkey)
    assert main(["--log", "none.db", "--key", vkey or "none.key"]) == 3
    assert capsys.readouterr().err.startswith("verify: ")
