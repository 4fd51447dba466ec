"""Receives an export of Gatebook's log and proves it: no gap, no duplicate, the roots as signed.

    gatebook audit export | python receiver.py VKEY
    gatebook audit export --follow --after "$(python receiver.py --position COPY)" |
        python receiver.py VKEY COPY

The first proves a whole export, up to its last line. The second keeps it in a file, and killed at
any moment goes on where it was: COPY.state says where. Needs Python and `cryptography`, nothing of
Gatebook. Exit code 0, or 1 with the reason.
"""

import json
import os
import sys
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SAVE_EVERY = 1000


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def signed(note: str, key: str) -> tuple[int, bytes]:
    """What the key signed: the size of a log, and its root."""
    origin, key_id, public = key.split("+", 2)
    text, _, signatures = note.partition("\n\n")
    name, size, root = text.split("\n")
    mine = [b64decode(s.split(" ")[2]) for s in signatures.split("\n") if f" {origin} " in s]
    if name != origin or not mine or mine[0][:4].hex() != key_id:
        raise ValueError(f"a checkpoint is not signed by {origin}")
    verifier = Ed25519PublicKey.from_public_bytes(b64decode(public)[1:])
    verifier.verify(mine[0][4:], f"{text}\n".encode())
    return int(size), b64decode(root)


def take(line: dict[str, Any], state: dict[str, Any], key: str) -> None:
    """A line in its turn. `edge`: the roots of the complete subtrees of RFC 9162, left to right."""
    edge = [bytes.fromhex(one) for one in state["edge"]]
    if "checkpoint" in line:
        while len(edge) > 1:
            edge[-2:] = [node(*edge[-2:])]
        if signed(line["checkpoint"], key) != (state["position"], *edge):
            raise ValueError(f"{state['position']} events do not lead to what was signed")
        state["proved"] = state["position"]
        return
    if line["position"] != state["position"] + 1:
        raise ValueError(f"event {line['position']} follows event {state['position']}")
    found, size = b64decode(line["leaf_hash"], validate=True), state["position"]
    if len(found) != 32:  # of two neighbours one could lend the other a byte
        raise ValueError(f"the leaf hash of event {size + 1} is none")
    while size & 1:
        found, size = node(edge.pop(), found), size >> 1
    state["edge"] = [one.hex() for one in (*edge, found)]
    state["position"] += 1


def save(copy: Any, state: dict[str, Any]) -> None:
    """What is kept is on the disk before the state says so."""
    copy.flush()
    os.fsync(copy.fileno())
    with open(f"{copy.name}.state.new", "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{copy.name}.state.new", f"{copy.name}.state")


def receive(key: str, state: dict[str, Any], copy: Any) -> None:
    """All that standard input has. A last line without its end is of an export that was killed."""
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):
            given = json.loads(line)
            take(given, state, key)
            if copy:
                copy.write(line)
                state["bytes"] += len(line)
                if "checkpoint" in given or state["position"] % SAVE_EVERY == 0:
                    save(copy, state)
    if copy:
        save(copy, state)


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print("receiver.py VKEY [COPY], or: receiver.py --position COPY", file=sys.stderr)
        return 2
    key, path = arguments[0], arguments[1] if len(arguments) > 1 else ""
    state: dict[str, Any] = {"position": 0, "proved": 0, "bytes": 0, "edge": []}
    try:
        if path and os.path.exists(f"{path}.state"):
            state = json.loads(Path(f"{path}.state").read_text())
        if key == "--position":
            print(state["position"])
            return 0
        with open(path or os.devnull, "ab") as copy:
            if copy.tell() < state["bytes"]:
                raise ValueError(f"{path} is shorter than {path}.state says")
            if path:
                copy.truncate(state["bytes"])
            receive(key, state, copy if path else None)
        if not path and not 0 < state["proved"] == state["position"]:
            raise ValueError("{position} events, but a signed head for {proved}".format(**state))
    except (ValueError, KeyError, TypeError, OSError, RecursionError, InvalidSignature) as error:
        print(f"receiver: {str(error) or 'the signature of a head is wrong'}", file=sys.stderr)
        return 1
    print("{position} events, proved up to {proved}".format(**state))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
