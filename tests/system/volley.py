"""Requests that arrive together: all are sent but for the last byte, then all last bytes."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from tests.api.served import Answer, Client


class Shot(msgspec.Struct, frozen=True):
    """One request of a volley."""

    client: Client
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = {}

    def encoded(self) -> bytes:
        content = b"" if self.body is None else json.dumps(self.body).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost", "Connection: close"]
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        if self.client.token is not None:
            lines.append(f"Authorization: Bearer {self.client.token}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + content


def fire(shots: list[Shot]) -> list[Answer]:
    """The answers, in the order of the shots. Who is told to come back does so, one by one."""
    answers = _at_once(shots)
    for place, shot in enumerate(shots):
        for _ in range(20):
            if not _overloaded(answers[place]):
                break
            answers[place] = shot.client.call(shot.method, shot.path, shot.body, dict(shot.headers))
    return answers


def _overloaded(answer: Answer) -> bool:
    return answer.status == 503 and answer.body["type"].endswith("/overloaded")


def _at_once(shots: list[Shot]) -> list[Answer]:
    barrier = threading.Barrier(len(shots))

    def one(shot: Shot) -> Answer:
        encoded = shot.encoded()
        with socket.create_connection((shot.client.host, shot.client.port), timeout=60) as wire:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.sendall(encoded[:-1])
            barrier.wait(30)
            wire.sendall(encoded[-1:])
            response = http.client.HTTPResponse(wire, method=shot.method)
            try:
                response.begin()
                return Answer(response.status, response.headers, response.read())
            finally:
                response.close()

    with ThreadPoolExecutor(len(shots)) as pool:
        return list(pool.map(one, shots))
