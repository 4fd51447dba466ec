"""The API beside a model: hypothesis plays any sequence of commands, every answer is compared."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule, run_state_machine_as_test

from tests.api.served import ELSEWHERE, PASSWORD, Served
from tests.system.beside import Accounts, accounts, anyone, holders, names, passwords, roles
from tests.system.conftest import IN_CI
from tests.system.model import Account, Holder

STEPS_A_RUN = 50


class Beside(Accounts):
    """One run: the rules about accounts and roles, and these."""

    # --- passwords, sessions

    @rule(who=anyone, whom=accounts, password=passwords)
    def set_password(self, who: Holder | None, whom: Account, password: str) -> None:
        by = self._by(who)
        expected = self.model.set_password(by, whom, password)
        answer = self._call(by, "PUT", f"{self._at(whom)}/password", {"password": password})
        self._compare(expected, answer, whom)

    @rule(who=holders, current=st.one_of(st.none(), passwords), new=passwords)
    def change_password(self, who: Holder, current: str | None, new: str) -> None:
        known = current or who.account.password or PASSWORD
        expected = self.model.change_password(who, known, new)
        body = {"current_password": known, "new_password": new}
        self._compare(expected, self._call(who, "PUT", "/v1/auth/password", body), who.account)

    @rule(who=anyone, whom=accounts)
    def unlock(self, who: Holder | None, whom: Account) -> None:
        by = self._by(who)
        expected = self.model.unlock(by, whom)
        self._compare(expected, self._call(by, "POST", f"{self._at(whom)}/unlock"), whom)

    def _login(self, name: str, password: str) -> Any:
        expected = self.model.login(name, password)
        body = {"username": name, "password": password}
        answer = self._call(None, "POST", "/v1/auth/login", body)
        if not self._compare(expected, answer):
            return multiple()
        account = self.model.names[name.lower()]
        assert account.id == answer.body["account_id"]
        pair = (answer.body["access_token"], answer.body["refresh_token"])
        holder = Holder(account, account.epoch, *pair, used=[])
        self.model.holders.append(holder)
        return holder

    @rule(target=holders, account=accounts, other=st.one_of(st.none(), st.none(), passwords))
    def login(self, account: Account, other: str | None) -> Any:
        """Mostly with the right password."""
        return self._login(account.username, other or account.password or PASSWORD)

    @rule(target=holders, stem=names, password=passwords)
    def login_by_name(self, stem: str, password: str) -> Any:
        return self._login(self._name(stem), password)

    @rule(account=accounts, tries=st.integers(1, 6))
    def guess(self, account: Account, tries: int) -> None:
        """Wrong passwords in a row, then the right one: locked or not."""
        for _ in range(tries):
            self._login(account.username, "certainly not this one 5")

    @rule(holder=holders, old=st.sampled_from([False, False, False, True]))
    def renew(self, holder: Holder, *, old: bool) -> None:
        """With the newest token; or with one used before, from another program."""
        if not holder.is_session:
            return
        old = old and bool(holder.used)
        token = holder.used[-1] if old else holder.refresh
        expected = self.model.renew(holder, token)
        answer = self._call(
            None,
            "POST",
            "/v1/auth/renew",
            {"refresh_token": token},
            headers=ELSEWHERE if old else {},
        )
        if self._compare(expected, answer):
            before = holder.access
            holder.used.append(holder.refresh)
            holder.access = answer.body["access_token"]
            holder.refresh = answer.body["refresh_token"]
            holder.revoked = False
            assert self._validated(before) == {"valid": False}

    @rule(who=holders, everywhere=st.booleans())
    def logout(self, who: Holder, *, everywhere: bool) -> None:
        expected = self.model.logout(who, everywhere=everywhere)
        query = "?all=true" if everywhere else ""
        answer = self._call(who, "POST", f"/v1/auth/logout{query}")
        self._compare(expected, answer, who.account)

    # --- tokens

    @rule(target=holders, who=anyone, account=accounts)
    def issue(self, who: Holder | None, account: Account) -> Any:
        by = self._by(who)
        expected = self.model.issue(by, account)
        answer = self._call(by, "POST", "/v1/token/issue", {"account_id": account.id})
        if not self._compare(expected, answer):
            return multiple()
        holder = Holder(account, account.epoch, answer.body["access_token"])
        self.model.holders.append(holder)
        return holder

    @rule(who=anyone, holder=holders)
    def revoke_token(self, who: Holder | None, holder: Holder) -> None:
        said = self._validated(holder.access)
        if not said["valid"]:
            return
        by = self._by(who)
        expected = self.model.revoke_token(by, holder)
        self._compare(expected, self._call(by, "DELETE", f"/v1/token/{said['claims']['jti']}"))

    @rule(who=anyone, whom=accounts)
    def revoke_all(self, who: Holder | None, whom: Account) -> None:
        by = self._by(who)
        path = f"/v1/accounts/{whom.id}"
        lives = any(
            self._call(self.root, "GET", f"{path}/{what}").body["items"]
            for what in ("sessions", "tokens")
        )
        expected = self.model.revoke_all(by, whom, lives=lives)
        self._compare(expected, self._call(by, "DELETE", f"{self._at(whom)}/tokens"), whom)

    def _validated(self, token: str) -> Any:
        answer = self._call(None, "POST", "/v1/token/validate", {"token": token})
        assert answer.status == 200, answer.raw
        return answer.body

    # --- looking

    @rule(holder=holders)
    def validate(self, holder: Holder) -> None:
        """The verdict, the account and its roles; and the same from /me."""
        said = self._validated(holder.access)
        assert holder.counts == said["valid"]
        me = self._call(holder, "GET", "/v1/auth/me")
        assert (200 if holder.counts else 401) == me.status
        if not holder.counts:
            return
        account, in_force = holder.account, self.model.in_force(holder.account)
        named = {"id": account.id, "username": account.username, "roles": in_force}
        assert named == said["account"]
        assert (in_force, in_force) == (me.body["roles"], said["claims"]["roles"])
        assert sorted(self.model.permissions(account)) == me.body["permissions"]
        live = [h for h in self.model.holders if h.is_session and h.account is account]
        assert sum(h.stands for h in live) == len(me.body["sessions"])

    @rule(who=anyone, whom=accounts)
    def show(self, who: Holder | None, whom: Account) -> None:
        """The account, to those who may; and its place in the log is kept for later."""
        by = self._by(who)
        answer = self._call(by, "GET", self._at(whom))
        refused = self.model.gate(by, "accounts.read")
        if refused is not None and not (by.counts and by.account is whom):
            self._compare(refused, answer)
            return
        self._same(whom, answer)
        self.past.append((self.served.head(), whom, whom.shown()))

    @rule(pick=st.integers(0, 1000))
    def as_of(self, pick: int) -> None:
        """An account as it stood; what was personal is gone with an erasure, in the past too."""
        if not self.past:
            return
        position, target, expected = self.past[pick % len(self.past)]
        if target.status == "erased":
            expected = expected | dict.fromkeys(("username", "display_name", "email"))
        answer = self._call(self.root, "GET", f"{self._at(target)}?position={position}")
        assert answer.status == 200, answer.raw
        assert expected == {name: answer.body[name] for name in expected}

    @rule(whom=accounts)
    def history(self, whom: Account) -> None:
        """Every event of the account's own stream, newest first, and no other of such a type."""
        answer = self._call(self.root, "GET", f"{self._at(whom)}/history?limit=500")
        assert answer.status == 200, answer.raw
        kinds = ("account.", "role.")
        found = [one["type"] for one in answer.body["items"] if one["type"].startswith(kinds)]
        assert whom.names[::-1] == found

    @rule(
        status=st.sampled_from([None, "active", "inactive", "deleted"]),
        kind=st.sampled_from([None, "human", "system"]),
        role=st.one_of(st.none(), roles),
        stem=st.one_of(st.none(), st.none(), names),
    )
    def browse(
        self, status: str | None, kind: str | None, role: str | None, stem: str | None
    ) -> None:
        """The list, filtered, holds exactly the accounts that match, as they are."""
        q = None if stem is None else self._name(stem)
        asked = {"status": status, "type": kind, "role": role, "q": q}
        query = "".join(f"&{name}={value}" for name, value in asked.items() if value)
        found: dict[str, Any] = {}
        after = ""
        for _page in range(50):
            answer = self._call(self.root, "GET", f"/v1/accounts?limit=500{query}{after}")
            assert answer.status == 200, answer.raw
            found |= {one["id"]: one for one in answer.body["items"]}
            if answer.body["next"] is None:
                break
            after = f"&after={answer.body['next']}"
        for account in self.model.accounts:
            shown = account.shown() | {"roles": self.model.in_force(account)}
            wanted = (
                (status in (None, shown["status"]))
                and (kind in (None, account.kind))
                and (role is None or role in shown["roles"])
                and (q is None or q.lower() in (shown["username"] or "").lower())
            )
            one = found.get(account.id)
            assert wanted == (one is not None), (asked, shown)
            if one is not None:
                assert shown == {name: one[name] for name in shown}


def test_the_api_does_what_the_model_does(served: Served) -> None:
    """Any sequence of commands is answered as the model answers it, and leaves the same state."""
    Beside.served, Beside.steps, Beside.requests = served, 0, 0
    on_sqlite = served.deployment.config.read_text().find("sqlite:") > 0
    runs = (30 if on_sqlite else 8) if IN_CI else (8 if on_sqlite else 3)
    run_state_machine_as_test(
        Beside,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS_A_RUN,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"\n{runs} runs, {Beside.steps} steps, {Beside.requests} requests, no difference")
    assert Beside.steps >= (500 if IN_CI and on_sqlite else 50)
