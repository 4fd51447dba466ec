"""A process that guesses at a secret with many threads: `python -m tests.attacks.guesser ...`.

Each verification of the true hash adds a byte to a file that all such processes share.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from gatebook.domain.application.break_glass import EmergencySignIn
from gatebook.domain.application.core import By
from gatebook.domain.application.logins import Attempt
from gatebook.domain.envelope import ANONYMOUS, Source
from gatebook.domain.errors import Refusal
from gatebook.store.house import House, open_house
from gatebook.store.passwords import Argon2
from gatebook.store.settings import Settings

ROOT = Path(__file__).parents[2]
STRANGER = By(actor=ANONYMOUS, request_id="race", source=Source("192.0.2.7", "other"))


class CountingArgon2(Argon2):
    """Counts the verifications of a true hash, and takes its time for them."""

    counted: Path
    seconds: float

    def verify(self, phc: str | None, password: bytes) -> bool:
        if phc is not None:
            with self.counted.open("ab") as file:
                file.write(b"x")
            time.sleep(self.seconds)
        return super().verify(phc, password)


@contextmanager
def counting_house(config: Path, counted: Path, seconds: float) -> Iterator[House]:
    """A house that counts into a file, and hashes for so long."""
    house = open_house(Settings.load(config, {}))
    try:
        argon2 = CountingArgon2(house.settings.passwords, house.gate, house.argon2.blocklist)
        argon2.counted, argon2.seconds = counted, seconds
        house.argon2 = argon2
        yield house
    finally:
        house.close()


def guess(house: House, method: str, whom: str, password: str) -> str:
    """One guess. Returns what it came to."""
    plaintext = house.plaintext(password)
    try:
        if method == "password":
            house.logins.login(STRANGER, Attempt(whom, plaintext))
        else:
            house.break_glass.login(STRANGER, EmergencySignIn(whom, UUID(whom), plaintext))
    except Refusal as refusal:
        return type(refusal).__name__
    return "success"


@contextmanager
def guessers(
    processes: int, config: Path, counted: Path, method: str, whom: str, count: int, seconds: float
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ready to guess `count` times each at once, when told a line."""
    words = [str(config), str(counted), method, whom, str(count), str(seconds)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.guesser", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate(timeout=30)


def outcomes(started: list[subprocess.Popen[str]]) -> Counter[str]:
    """Lets all go at once, and adds up what came of every guess."""
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found: Counter[str] = Counter()
    for process in started:
        assert process.stdout is not None
        found.update(process.stdout.readline().split())
    return found


def main(words: list[str]) -> None:
    """See the module."""
    config, counted, method, whom, count, seconds = words
    found: list[str] = []
    with counting_house(Path(config), Path(counted), float(seconds)) as house:
        barrier = threading.Barrier(int(count) + 1)

        def run(number: int) -> None:
            barrier.wait(60)
            try:
                found.append(guess(house, method, whom, f"wrong tractor {os.getpid()} {number}"))
            except Exception as error:
                found.append(type(error).__name__)

        threads = [threading.Thread(target=run, args=(n,)) for n in range(int(count))]
        for thread in threads:
            thread.start()
        print("ready", flush=True)
        sys.stdin.readline()
        barrier.wait(60)
        for thread in threads:
            thread.join(120)
    print(*found, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
