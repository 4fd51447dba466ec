"""Notes and verifier keys: the specification's own example, and what is refused."""

from __future__ import annotations

import pytest

from gatebook.store.checkpoints import CheckpointKey, NoteRefused, VerifierKey, parse

EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
KEY = CheckpointKey(b"\1" * 32)
NOTE = KEY.sign(7, b"\2" * 32)


def test_the_key_of_the_specification_is_read():
    """The vkey of C2SP signed-note has the id that it says."""
    key = VerifierKey.parse(EXAMPLE)
    assert (key.origin, key.id.hex(), str(key)) == ("example.com/foo", "530d903a", EXAMPLE)


@pytest.mark.parametrize(
    "wrong",
    ["", "a", "a+b+c", EXAMPLE.replace("530d", "530e"), EXAMPLE + "=", EXAMPLE[:-4], "+" + EXAMPLE],
)
def test_what_is_no_key_is_refused(wrong):
    """A key whose id does not fit, or that is cut, is none."""
    with pytest.raises(NoteRefused):
        VerifierKey.parse(wrong)


def test_a_note_says_what_was_signed():
    """Size and root come back, and the name of the key follows from the key."""
    said = KEY.verifier.verify(NOTE)
    assert (said.size, said.root) == (7, b"\2" * 32)
    assert said.origin.startswith("gatebook/")
    assert CheckpointKey(b"\1" * 32).verifier == KEY.verifier != CheckpointKey(b"\2" * 32).verifier


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n7\n", "\n8\n"),
        lambda note: note.replace("\n7\n", "\n07\n"),
        lambda note: note.replace("\n7\n", "\n-7\n"),
        lambda note: note.replace("AgIC", "AgIB"),
        lambda note: note.replace("\n\n", "\nmore\n\n"),
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.replace("— ", "- "),
        lambda note: note[:-1],
        lambda note: note[:-9] + "AAAAAAA=\n",
        lambda note: note + "\n",
        lambda note: note * 2,
        lambda note: note.replace("gatebook", "gatebock"),
        lambda note: note + "— x " + "A" * 20_000 + "\n",
        lambda _note: "",
    ],
)
def test_a_changed_note_is_refused(change):
    """No changed byte passes for what was signed."""
    with pytest.raises(NoteRefused):
        KEY.verifier.verify(change(NOTE))


def test_another_key_is_refused():
    """A note is verified by the key that signed it and by no other."""
    with pytest.raises(NoteRefused):
        CheckpointKey(b"\2" * 32).verifier.verify(NOTE)


def test_signatures_of_others_beside_ours_are_left_alone():
    """A cosigned note still says what we signed."""
    cosigned = NOTE + CheckpointKey(b"\3" * 32).sign(7, b"\2" * 32).split("\n\n")[1]
    assert KEY.verifier.verify(cosigned).size == 7
    assert len(parse(cosigned)[1]) == 2
