"""Laws that hold for every past: folding never refuses, deciding agrees with folding."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from gatebook.domain import account, administrators, attempts, session, signing_keys
from gatebook.domain.errors import Refusal
from gatebook.domain.policy import Lockout
from tests.domain.story import ALICE, JTI, NOON

names = st.sampled_from(["alice", "bob"])
profiles = st.builds(account.Profile, username=names, display_name=names, email=st.just(""))
ends = st.none() | st.integers(NOON, NOON + 100)
roles = st.sampled_from(["admin", "viewer"])

account_events = st.one_of(
    st.builds(account.AccountCreated, kind=st.just("human"), profile=st.none() | profiles),
    st.builds(account.AccountRenamed, profile=st.none() | profiles),
    st.builds(account.AccountProfileChanged, profile=st.none() | profiles),
    st.builds(account.AccountDeactivated),
    st.builds(account.AccountActivated),
    st.builds(account.AccountDeleted),
    st.builds(account.AccountRestored, status=st.sampled_from(["active", "inactive"])),
    st.builds(account.AccountErased),
    st.builds(account.AccountTokensRevoked),
    st.builds(account.RoleGranted, role=roles, generation=st.just(1), expires_at=ends),
    st.builds(account.RoleRevoked, role=roles),
)
account_commands = st.one_of(
    st.builds(account.Create, kind=st.just("human"), profile=profiles),
    st.builds(account.ChangeProfile, profile=profiles),
    st.builds(
        account.SetStatus,
        to=st.sampled_from(["active", "inactive", "deleted", "restored", "erased"]),
    ),
    st.builds(account.RevokeTokens),
    st.builds(
        account.GrantRole,
        role=roles,
        expires_at=ends,
        source=st.just("hand"),
        at=st.just(NOON),
        generation=st.just(1),
    ),
    st.builds(account.RevokeRole, role=roles),
)


@given(st.lists(account_events, max_size=30))
def test_folding_an_account_never_refuses(past):
    """Any events in any order fold: a tightened rule cannot make a stream unreadable."""
    state = account.Account()
    epoch = 0
    for event in past:
        state = account.evolve(state, event)
        assert state.epoch >= epoch or isinstance(event, account.AccountCreated)
        epoch = state.epoch
    assert state.roles(NOON) == sorted(state.roles(NOON))


@given(st.lists(account_commands, max_size=30))
def test_a_decision_done_is_not_done_again(commands):
    """Giving the same command twice in a row records nothing the second time, or is refused."""
    state = account.Account()
    for command in commands:
        try:
            events = account.decide(command, state)
        except Refusal:
            continue
        for event in events:
            state = account.evolve(state, event)
        if isinstance(command, account.RevokeTokens):
            continue
        with contextlib.suppress(Refusal):
            assert account.decide(command, state) == []


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), account_commands), max_size=40))
def test_there_is_always_an_administrator_once_there_was_one(steps):
    """No sequence of commands on any accounts empties the roster."""
    states: dict[str, account.Account] = {}
    ids = {"a": ALICE, "b": JTI, "c": administrators.STREAM_ID}
    roster, seen = administrators.Roster(), False
    for name, command in steps:
        before = states.get(name, account.Account())
        try:
            after = before
            for event in account.decide(command, before):
                after = account.evolve(after, event)
            changes = administrators.decide(ids[name], after, roster)
        except Refusal:
            continue
        states[name] = after
        for change in changes:
            roster = administrators.evolve(roster, change)
        belonging = {ids[n] for n, s in states.items() if administrators.belongs(s)}
        assert roster.members == belonging
        seen = seen or bool(belonging)
        assert bool(belonging) or not seen


@given(
    st.lists(st.integers(0, 3 * 3600), max_size=60).map(sorted),
    st.integers(1, 6),
    st.integers(1, 3600),
    st.integers(1, 3600),
)
def test_a_lock_never_allows_more_tries_than_its_threshold(seconds, threshold, duration, reset):
    """Between two locks there are never more counted failures than the threshold."""
    lockout = Lockout(threshold, duration * 1_000_000, reset * 1_000_000)
    counter, state = attempts.Counter(ALICE, "password"), attempts.Attempts()
    since_lock = 0
    for second in seconds:
        at = NOON + second * 1_000_000
        if state.locked(at):
            continue
        failure = attempts.Failure(
            "wrong-password", matched=False, at=at, lockout=lockout, policy=1
        )
        [event] = attempts.fail(counter, failure, state)
        if state.locked_until is not None or at - state.failed_at >= lockout.reset:
            since_lock = 0
        state = attempts.evolve(state, event)
        since_lock += 1
        assert since_lock == state.failures <= threshold
        assert (state.locked_until is not None) == (state.failures == threshold)


@given(st.lists(st.sampled_from(["renew", "replay", "end", "keep"]), max_size=40))
def test_an_ended_session_stays_ended(steps):
    """Whatever is shown or asked afterwards, no token is given out again."""
    pair = session.Tokens(JTI, "kid", NOON)
    opened = session.SessionOpened(
        account_id=ALICE,
        epoch=0,
        origin="login",
        amr=("pwd",),
        acr="aal1",
        auth_time=NOON,
        expires_at=NOON + 1_000_000,
        idle=None,
        tokens=pair,
    )
    state = session.evolve(session.Session(), opened)
    ended = False
    for step in steps:
        rotation = state.rotations if step == "renew" else max(state.rotations - 1, 0)
        command = session.Renew(rotation, pair, state.epoch, True, NOON)
        try:
            events = (
                session.end("revoked", state) if step == "end" else session.renew(command, state)
            )
        except Refusal:
            events = []
        assert not (ended and events)
        for event in events:
            state = session.evolve(state, event)
        ended = ended or not state.live


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-50, 50)), max_size=20), st.integers(0, 100)
)
def test_at_most_one_key_is_active(activations, at):
    """However keys are activated, one signs at a time."""
    ring = signing_keys.Ring()
    for number in range(5):
        for event in signing_keys.create(f"k{number}", "ES256", "{}"):
            ring = signing_keys.evolve(ring, event)
    for number, offset in activations:
        for event in signing_keys.activate(f"k{number}", NOON + offset, ring):
            ring = signing_keys.evolve(ring, event)
    active = [key for key in ring.keys if ring.status(key, NOON + at) == "active"]
    assert len(active) <= 1
