"""The harness: what it counts, and that no wrong answer passes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from gatebook.tools.bench import load
from gatebook.tools.bench.chains import with_renewed
from gatebook.tools.bench.rounds import Load, measure
from gatebook.tools.bench.subject import Request, Work

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GOOD = Request(method="POST", path="/validate", body='{"token": "good"}', contains='"valid":true')
BAD = Request(method="POST", path="/validate", body='{"token": "bad"}', contains='"valid":false')
Reply = Callable[[str, str], tuple[int, str]]


class Stage:
    """A server of the standard library that answers what a test tells it to."""

    host = "127.0.0.1"

    def __init__(self, port: int) -> None:
        self.port = port
        self.reply: Reply = honest
        self.works: dict[str, Work] = {}

    def pids(self) -> list[int]:
        return [os.getpid()]

    def work(self, path: str) -> Work | None:
        return self.works.get(path)


class Quiet(ThreadingHTTPServer):
    """Does not mind that a load ends in the midst of an answer."""

    def handle_error(self, *_whom: object) -> None:
        """Says nothing: a test sees it in what the load counted."""


def honest(_path: str, body: str) -> tuple[int, str]:
    """Validates rightly."""
    return 200, '{"valid":true}' if "good" in body else '{"valid":false}'


@pytest.fixture
def stage() -> Iterator[Stage]:
    """One that validates rightly until told otherwise."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one packet

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            status, said = stage.reply(self.path, self.rfile.read(size).decode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        stage = Stage(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield stage
        server.shutdown()
        thread.join()


@pytest.fixture(params=["wrk", "python"])
def python(request: pytest.FixtureRequest) -> bool:
    """Which load generator sends: wrk is there in CI, always."""
    if request.param == "wrk" and not load.has_wrk():
        if os.environ.get("HYPOTHESIS_PROFILE") == "ci":
            pytest.fail("apt-get install wrk")
        pytest.skip("apt-get install wrk")
    return bool(request.param == "python")


def test_right_answers_are_counted(stage: Stage, python: bool) -> None:
    """What was sent was answered, both kinds of request among it, and none of it is wrong."""
    seen = {"good": 0, "bad": 0}
    guard = threading.Lock()

    def reply(path: str, body: str) -> tuple[int, str]:
        with guard:
            seen["good" if "good" in body else "bad"] += 1
        return honest(path, body)

    stage.reply = reply
    found = load.drive(stage, Work(path="x", requests=[GOOD, BAD], connections=4), 1, python=python)

    assert found.wrong == 0, found.sample
    assert seen["bad"] > 0
    assert seen["good"] > 0
    # What is on its way at the end is answered without being counted.
    assert 0 <= sum(seen.values()) - found.requests <= 4
    assert 0 < found.p50 <= found.p99
    assert found.rate == pytest.approx(found.requests, rel=0.3)


@pytest.mark.parametrize("lie", ["accepts what is forged", "refuses what is good"])
def test_a_liar_is_caught(stage: Stage, python: bool, lie: str) -> None:
    """One wrong answer among thousands is one wrong answer, and is shown."""
    turns = iter(range(10**9))
    victim = "bad" if lie == "accepts what is forged" else "good"
    guard = threading.Lock()

    def reply(path: str, body: str) -> tuple[int, str]:
        if victim in body:
            with guard:
                turn = next(turns)
            if turn == 5:
                return honest(path, _other(body))
        return honest(path, body)

    stage.reply = reply
    found = load.drive(stage, Work(path="x", requests=[GOOD, BAD], connections=4), 1, python=python)

    assert found.wrong == 1
    assert found.sample == ('200 {"valid":true}' if victim == "bad" else '200 {"valid":false}')
    assert found.requests > 10


def _other(body: str) -> str:
    return body.replace("bad", "good") if "bad" in body else body.replace("good", "bad")


def test_chains_go_on_with_what_was_answered(stage: Stage, python: bool) -> None:
    """No text is sent twice and none is made up, though several connections share them."""
    chains, taken, guard = 3, set[str](), threading.Lock()
    live = {f"a+/{number}=" for number in range(chains)}
    fresh = iter(range(10**9))

    def reply(_path: str, body: str) -> tuple[int, str]:
        text = parse_qs(body)["token"][0]
        with guard:
            if text not in live or text in taken:
                return 400, "unknown, or used before"
            taken.add(text)
            live.discard(text)
            following = f"b+/{next(fresh)}="
            live.add(following)
        return 200, json.dumps({"token": following})

    stage.reply = reply
    requests = [
        with_renewed(
            Request(method="POST", path="/", headers=FORM, body="token=x&a=b"), "token", text
        )
        for text in sorted(live)
    ]
    work = Work(path="refresh", requests=requests, renewed="token", connections=8)
    found = load.drive(stage, work, 1, python=python)

    assert found.wrong == 0, found.sample
    assert len(taken) > 10 * chains
    assert len(live) == chains


def test_a_lost_chain_is_one_wrong_answer(stage: Stage, python: bool) -> None:
    """With wrk it ends a load that has no other chain, rather than send what nobody gave."""
    sent: list[str] = []

    def reply(_path: str, body: str) -> tuple[int, str]:
        sent.append(parse_qs(body, keep_blank_values=True)["token"][0])
        return (503, "later") if len(sent) == 4 else (200, json.dumps({"token": f"t{len(sent)}"}))

    stage.reply = reply
    one = Request(method="POST", path="/", headers=FORM, body="token=first", contains="token")
    found = load.drive(stage, Work(path="x", requests=[one], renewed="token"), 1, python=python)

    assert found.wrong == 1
    assert found.sample == "503 later"
    assert sent[:4] == ["first", "t1", "t2", "t3"]


def test_steps_are_one_request(stage: Stage) -> None:
    """A sequence takes the id of its first answer along, and is made anew each time."""
    made: dict[str, str] = {}

    def reply(path: str, body: str) -> tuple[int, str]:
        if path == "/made":
            made[f"id-{body}"] = body
            return 200, json.dumps({"id": f"id-{body}"})
        return (204, "") if made.pop(path.rpartition("/")[2], None) else (404, "not there")

    stage.reply = reply
    steps = [
        Request(method="POST", path="/made", body="name-{n}"),
        Request(method="POST", path="/ended/{id}", status=204),
    ]
    work = Work(path="x", requests=steps, renewed="id", steps=True, connections=3)
    found = load.drive(stage, work, 1)

    assert found.wrong == 0, found.sample
    assert found.requests > 10
    assert made == {}


def test_rounds_take_the_median_and_keep_every_wrong_answer(stage: Stage) -> None:
    """A path that a subject has not is left out; an answer that was wrong once stays so."""
    stage.works["validate, hot"] = Work(path="x", requests=[GOOD], connections=2)
    stage.reply = lambda _path, _body: (500, '{"valid":true}')
    lines: list[str] = []
    found = measure(
        [("liar", stage)], ["validate, hot", "login"], Load(runs=2, seconds=1), tell=lines.append
    )

    assert [(one.subject, one.path) for one in found] == [("liar", "validate, hot")]
    assert found[0].wrong == found[0].requests > 0
    assert found[0].cpu > 0
    assert found[0].memory > 0
    assert len(lines) == 4
