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
    assert kinds(report) == ["head", "unproven"]


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
