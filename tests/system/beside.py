"""The API beside a model, first part: how both are asked and compared; accounts and roles."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from tests.api.served import ADMIN, PASSWORD, Answer, Served
from tests.system.model import WEAK, Account, Expected, Holder, Model

PASSWORDS = [PASSWORD, "copper lantern drifts past noon 17", "nine quiet engines hum below 88"]
STEMS = ["ada", "Ada", "ADA", "bo", "Bo", "cleo", "dora", "eve"]
ROLES = ["admin", "operator", "auditor", "viewer", "keeper", "granter"]
PARTS = ["accounts.read", "accounts.write", "roles.grant", "roles.write", "tokens.revoke"]

names = st.sampled_from(STEMS)
passwords = st.sampled_from([*PASSWORDS, *PASSWORDS, WEAK])
roles = st.sampled_from(ROLES)
lines = st.sampled_from(["", "A line", "Ünïcode ☂"])
emails = st.sampled_from(["", "a@example.org", "B@Example.org"])
count = itertools.count()

accounts: Bundle[Account] = Bundle("accounts")
holders: Bundle[Holder] = Bundle("holders")
anyone = st.one_of(st.none(), holders)
"""None stands for the first admin."""


class Accounts(RuleBasedStateMachine):
    """One run: accounts of its own on a shared server."""

    served: Served
    steps = 0
    requests = 0

    def __init__(self) -> None:
        super().__init__()
        root = Account(id="", username=ADMIN, kind="human", roles={"admin"})
        self.root = Holder(root, 0, str(self.served.admin.token))
        self.model = Model(self.root)
        self.run = next(count)
        self.past: list[tuple[int, Account, dict[str, Any]]] = []

    def teardown(self) -> None:
        """Leaves the first admin alone, as the next run expects, and the roles undefined."""
        for account in self.model.accounts:
            for role in ("admin", "keeper", "granter"):
                if role in account.roles:
                    self._call(self.root, "DELETE", f"/v1/accounts/{account.id}/roles/{role}")
        for role in ("keeper", "granter"):
            self._call(self.root, "DELETE", f"/v1/roles/{role}")

    @invariant()
    def counted(self) -> None:
        type(self).steps += 1

    # --- speaking

    def _call(
        self,
        by: Holder | None,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        type(self).requests += 1
        token = by.access if by is not None else None
        return self.served.client.with_token(token).call(method, path, body, headers)

    def _compare(self, expected: Expected, answer: Answer, target: Account | None = None) -> bool:
        """Whether it was done. Fails on any difference, in the answer or in the account."""
        status, slug = expected
        said = answer.body
        told = said["type"].rpartition("/")[2] if answer.status >= 400 else ""
        assert (status, slug) == (answer.status, told), f"the server says: {answer.raw!r}"
        if target is not None:
            self._same(target, self._call(self.root, "GET", f"/v1/accounts/{target.id}"))
        return status < 300

    def _same(self, target: Account, answer: Answer) -> None:
        assert answer.status == 200, answer.raw
        expected = target.shown()
        assert expected == {name: answer.body[name] for name in expected}

    def _by(self, who: Holder | None) -> Holder:
        return who or self.root

    def _at(self, target: Account) -> str:
        return f"/v1/accounts/{target.id}"

    def _name(self, stem: str) -> str:
        return f"{stem}-{self.run}"

    # --- accounts

    @initialize(target=accounts)
    def two_accounts(self) -> Any:
        """Something to begin with."""
        return multiple(
            self._create(None, "first", "human", PASSWORDS[0]),
            self._create(None, "second", "system", None),
        )

    def _create(self, who: Holder | None, stem: str, kind: str, password: str | None) -> Any:
        name, by = self._name(stem), self._by(who)
        body = {"username": name, "type": kind} | ({"password": password} if password else {})
        expected = self.model.create(by, name, password)
        answer = self._call(by, "POST", "/v1/accounts", body)
        if not self._compare(expected, answer):
            return multiple()
        account = Account(answer.body["id"], name, kind, password=password, roles=set(), names=[])
        self.model.created(account)
        self._same(account, self._call(self.root, "GET", self._at(account)))
        return account

    @rule(target=accounts, who=anyone, stem=names, password=st.one_of(st.none(), passwords))
    def create(self, who: Holder | None, stem: str, password: str | None) -> Any:
        return self._create(who, stem, "human" if password else "system", password)

    @rule(
        who=anyone,
        whom=accounts,
        changes=st.fixed_dictionaries(
            {}, optional={"username": names, "display_name": lines, "email": emails}
        ),
    )
    def change(self, who: Holder | None, whom: Account, changes: dict[str, str]) -> None:
        wanted = dict(changes)
        if "username" in wanted:
            wanted["username"] = self._name(wanted["username"])
        by = self._by(who)
        expected = self.model.change(by, whom, wanted)
        self._compare(expected, self._call(by, "PATCH", self._at(whom), wanted), whom)

    @rule(who=anyone, whom=accounts, to=st.sampled_from(["active", "inactive"]))
    def set_status(self, who: Holder | None, whom: Account, to: str) -> None:
        by, body = self._by(who), {"status": to}
        expected = self.model.change(by, whom, body)
        self._compare(expected, self._call(by, "PATCH", self._at(whom), body), whom)

    @rule(who=anyone, whom=accounts)
    def delete(self, who: Holder | None, whom: Account) -> None:
        by = self._by(who)
        expected = self.model.delete(by, whom)
        self._compare(expected, self._call(by, "DELETE", self._at(whom)), whom)

    @rule(who=anyone, whom=accounts)
    def restore(self, who: Holder | None, whom: Account) -> None:
        by = self._by(who)
        expected = self.model.restore(by, whom)
        self._compare(expected, self._call(by, "POST", f"{self._at(whom)}/restore"), whom)

    @rule(who=anyone, whom=accounts, right=st.sampled_from([True, False, False]))
    def erase(self, who: Holder | None, whom: Account, *, right: bool) -> None:
        by, confirm = self._by(who), whom.username if right else "somebody-else"
        expected = self.model.erase(by, whom, confirm)
        answer = self._call(by, "POST", f"{self._at(whom)}/erase", {"confirm": confirm})
        self._compare(expected, answer, whom)

    # --- roles

    @rule(
        who=anyone,
        role=roles,
        permissions=st.lists(st.sampled_from([*PARTS, "no.such"]), max_size=3, unique=True),
    )
    def define(self, who: Holder | None, role: str, permissions: list[str]) -> None:
        by = self._by(who)
        expected = self.model.define(by, role, permissions)
        body = {"permissions": permissions}
        answer = self._call(by, "PUT", f"/v1/roles/{role}", body)
        if self._compare(expected, answer):
            assert sorted(permissions) == answer.body["permissions"]

    @rule(who=anyone, role=roles)
    def undefine(self, who: Holder | None, role: str) -> None:
        by = self._by(who)
        expected = self.model.undefine(by, role)
        self._compare(expected, self._call(by, "DELETE", f"/v1/roles/{role}"))

    @rule(who=anyone, whom=accounts, role=roles)
    def grant(self, who: Holder | None, whom: Account, role: str) -> None:
        by = self._by(who)
        expected = self.model.grant(by, whom, role)
        answer = self._call(by, "PUT", f"{self._at(whom)}/roles/{role}")
        self._compare(expected, answer, whom)

    @rule(who=anyone, whom=accounts, role=roles)
    def revoke(self, who: Holder | None, whom: Account, role: str) -> None:
        by = self._by(who)
        expected = self.model.revoke(by, whom, role)
        answer = self._call(by, "DELETE", f"{self._at(whom)}/roles/{role}")
        self._compare(expected, answer, whom)

    @rule()
    def the_first_admin_cannot_leave(self) -> None:
        """He can give up admin once another active account holds it, and gets it back from it."""
        me = self._call(self.root, "GET", "/v1/auth/me").body["account"]["id"]
        off = self._call(self.root, "PATCH", f"/v1/accounts/{me}", {"status": "inactive"})
        self._compare((409, "self-lockout"), off)
        if any("admin" in a.roles and a.status == "active" for a in self.model.accounts):
            return
        given = self._call(self.root, "DELETE", f"/v1/accounts/{me}/roles/admin")
        self._compare((409, "last-admin"), given)
