"""Class 8, a step is skipped: a random walk over every way into an account.

What a session says of itself (`amr`, `acr`, `auth_time`) must be the fold of the steps that were
done for it, and of no others: not of those of an abandoned sign-in, of another account, of a
refused try, or of a renewal.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.api.factors import App, begin, enrol, finish
from tests.api.served import Answer, Client, Deployment, Served
from tests.authenticator import ORIGIN, UV, Authenticator

MORE = f'[webauthn]\nrp_id = "localhost"\norigins = ["{ORIGIN}"]\n'
LOGIN = "/v1/auth/passkeys/login"
STEPS = 60

FACTORS = {"pwd": "knowledge", "otp": "possession", "recovery": "possession", "hwk": "possession",
           "user": "activation"}  # fmt: skip
"""The model's own table: what each word of `amr` proves."""


def expected(words: list[str]) -> tuple[list[str], str]:
    """amr and acr of the steps done, in their order."""
    strong = len({FACTORS[word] for word in words}) >= 2
    return ([*words, "mfa"], "aal2") if strong else (words, "aal1")


class Person:
    """An account, its factors, and the sign-ins of it that are under way: token to words."""

    def __init__(self, served: Served, *, totp: bool, passkey: bool) -> None:
        self.account, client = served.signed_in()
        self.name = str(self.account["username"])
        self.codes: list[str] = client.post("/v1/auth/recovery-codes").body["codes"]
        self.app: App | None = enrol(client) if totp else None
        self.device: Authenticator | None = None
        self.tokens: list[str] = []
        if passkey:
            self.device = Authenticator()
            options = client.post("/v1/auth/passkeys/register/options").body
            body = {"credential": self.device.create(options)}
            assert client.post("/v1/auth/passkeys/register/verify", body).status == 201

    @property
    def due(self) -> bool:
        return self.app is not None or self.device is not None


class Walk:
    """Random steps by people and thieves. Each says which words a session may claim, or None."""

    def __init__(self, served: Served, seed: int) -> None:
        self.random = random.Random(seed)
        self.client = served.client
        self.people = [
            Person(served, totp=totp, passkey=passkey)
            for totp, passkey in ((False, False), (True, False), (False, True), (True, True))
        ]
        self.pairs: list[tuple[Person, dict[str, Any], list[str]]] = []

    def step(self) -> tuple[Person, Answer, list[str] | None]:
        """One request, and the words that a session it opens must say; None: it must open none."""
        person = self.random.choice(self.people)
        kinds = [self.password, self.wrong_password, self.second, self.skipped, self.foreign,
                 self.passkey, self.renewal, self.empty]  # fmt: skip
        answer, words = self.random.choice(kinds)(person)
        return person, answer, words

    def password(self, person: Person) -> tuple[Answer, list[str] | None]:
        answer = begin(self.client, person.name)
        if answer.status == 401:
            person.tokens.append(answer.body["mfa_token"])
        return answer, None if person.due else ["pwd"]

    def wrong_password(self, person: Person) -> tuple[Answer, list[str] | None]:
        body = {"username": person.name, "password": "wrong", "recovery_code": person.codes[0]}
        answer = self.client.post("/v1/auth/login", body)
        begin(self.client, person.name)  # the right one starts the count again
        return answer, None

    def second(self, person: Person) -> tuple[Answer, list[str] | None]:
        """The second step, of a sign-in that waits or of one that was finished before."""
        token = self.random.choice([*person.tokens, "gbm_" + "A" * 64])
        waits = token in person.tokens
        if person.device is not None and self.random.random() < 0.5:
            flaw = {"without": UV} if self.random.random() < 0.5 else {}
            options = self.client.post(f"{LOGIN}/options", {"mfa_token": token})
            if options.status != 200:
                return options, None
            body = {"mfa_token": token, "credential": person.device.get(options.body, **flaw)}
            words = ["pwd", "hwk"] if flaw else ["pwd", "hwk", "user"]
            answer = self.client.post(f"{LOGIN}/verify", body)
        else:
            if not person.codes:
                return self.empty(person)
            code = person.codes.pop() if waits else person.codes[-1]
            answer = finish(self.client, token, recovery_code=code)
            words = ["pwd", "recovery"]
        if waits:
            person.tokens.remove(token)
        return answer, words if waits else None

    def skipped(self, person: Person) -> tuple[Answer, list[str] | None]:
        """A second step without a first, or a first's token where a session is due."""
        token = self.random.choice([*person.tokens, "", "null"])
        if self.random.random() < 0.5:
            return self.client.post("/v1/auth/renew", {"refresh_token": token}), None
        body = {"mfa_token": token, "recovery_code": "AAAAA-AAAAA"}
        answer = self.client.post("/v1/auth/mfa?session=cookie", body)
        begin_again = self.random.random() < 0.2
        return (self.client.with_token(token).get("/v1/auth/me") if begin_again else answer), None

    def foreign(self, person: Person) -> tuple[Answer, list[str] | None]:
        """One account's token, another's code."""
        other = self.random.choice([one for one in self.people if one is not person])
        token = self.random.choice([*person.tokens, ""])
        code = other.codes[-1] if other.codes else "AAAAA-AAAAA"
        return finish(self.client, token, recovery_code=code), None

    def passkey(self, person: Person) -> tuple[Answer, list[str] | None]:
        """Without a name; a user who is not verified does not get in so."""
        if person.device is None:
            return self.empty(person)
        flaw = {"without": UV} if self.random.random() < 0.3 else {}
        options = self.client.post(f"{LOGIN}/options", {}).body
        credential = person.device.get(options, **flaw)
        answer = self.client.post(f"{LOGIN}/verify", {"credential": credential})
        return answer, None if flaw else ["hwk", "user"]

    def renewal(self, person: Person) -> tuple[Answer, list[str] | None]:
        """A renewal says what its sign-in said."""
        if not self.pairs:
            return self.password(person)
        place = self.random.randrange(len(self.pairs))
        _owner, pair, words = self.pairs.pop(place)
        return self.client.post("/v1/auth/renew", {"refresh_token": pair["refresh_token"]}), words

    def empty(self, _person: Person) -> tuple[Answer, list[str] | None]:
        """Nothing at all."""
        path = self.random.choice(["/v1/auth/mfa", "/v1/auth/login", f"{LOGIN}/verify"])
        return self.client.post(path, self.random.choice([{}, None])), None


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with a relying party, whose locks are out of the walk's way."""
    more = MORE + "[lockout]\nthreshold = 1000\n"
    directory: Path = tmp_path_factory.mktemp("walk")
    deployment = Deployment(directory, "sqlite:///gatebook.db", server="workers = 2", more=more)
    deployment.create()
    with deployment.served() as server:
        yield server


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 8, 13])
def test_a_session_says_what_was_proved_for_it(walked: Served, seed: int) -> None:
    """Every token of the walk claims the fold of its own steps; every other step opens nothing."""
    walk = Walk(walked, seed)
    opened = 0
    for number in range(STEPS):
        before = _sessions(walked)
        person, answer, words = walk.step()
        if words is None:
            # The check that follows a wrong password may open a session of its own right.
            assert answer.status != 200, (seed, number, answer.raw)
            continue
        assert answer.status == 200, (seed, number, answer.raw)
        claims = _claims(walk.client, answer.body["access_token"])
        assert (claims["amr"], claims["acr"]) == expected(words), (seed, number)
        assert _sessions(walked) - before <= 1
        walk.pairs.append((person, answer.body, words))
        opened += 1
    assert opened >= 5


def test_the_log_says_the_same(walked: Served) -> None:
    """In the log too: each session's amr is the fold of the completed steps beside it."""
    sessions = walked.events("&type=session.opened")
    succeeded = walked.events("&type=login.succeeded")
    proofs = {event["stream"]["id"]: event["data"]["proofs"] for event in succeeded}
    words = {"password": ["pwd"], "totp": ["otp"], "recovery-code": ["recovery"]}
    assert len(sessions) >= 20
    for event in sessions:
        said = event["data"]["amr"]
        done = proofs[event["stream"]["id"]]
        if "passkey" in done:
            assert "hwk" in said
            continue
        assert (said, event["data"]["acr"]) == expected([w for one in done for w in words[one]])


def _claims(client: Client, token: str) -> dict[str, Any]:
    answer = client.post("/v1/token/validate", {"token": token})
    assert answer.body["valid"] is True
    return dict(answer.body["claims"])


def _sessions(served: Served) -> int:
    return len(served.events("&type=session.opened"))
