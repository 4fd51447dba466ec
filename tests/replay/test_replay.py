"""Replay: the state from the log alone, held against the read models, the same on either store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatebook.domain.application.core import local
from gatebook.projections.access import ACCESS
from gatebook.projections.ports import Value
from gatebook.projections.tables import Kind, Table
from gatebook.store import backup
from gatebook.store.house import House, open_house
from gatebook.store.replaying import Checked, Replayed, check, replay
from gatebook.store.settings import Settings
from gatebook.tools.main import run
from gatebook.tools.projections import sentence_of
from gatebook.tools.replay_output import Shown, document
from tests.api.served import ADMIN, ADMIN_PASSWORD, Deployment
from tests.replay.conftest import Lived, opened
from tests.replay.fuller import FullerLife

WRONG: dict[Kind, Value] = {"bytes": b"wrong", "text": "wrong", "integer": 123}


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def replayed(house: House, upto: int | None = None) -> Replayed:
    with house.store.reading() as reader:
        return replay(reader, house.mapper, upto or reader.head(), silent)


def checked(house: House) -> Checked:
    with house.store.reading() as reader:
        return check(reader, replay(reader, house.mapper, reader.head(), silent).replay)


def written(house: House, upto: int | None = None) -> bytes:
    """The whole state as it is printed."""
    house.opened.forget()  # this very process erased somebody whose name it had just opened
    found = replayed(house, upto)
    return b"".join(document(Shown(found, found.recorded_at, house.opened)))


def test_the_live_read_models_are_what_the_log_says(lived: Lived) -> None:
    """A replay by the deciders' folds and the rows by the projections' agree, table by table."""
    found = checked(lived.house)

    assert found.first is None
    assert set(found.rows) == {table.name for table in ACCESS.tables}
    assert [name for name, rows in found.rows.items() if not rows] == []


def test_a_changed_row_of_any_table_is_named(lived: Lived) -> None:
    """One value in one row by hand: table, key and both values are told."""
    house = lived.house
    state = replayed(house).replay
    for table in ACCESS.tables:
        undo = spoil(house, table)
        with house.store.reading() as reader:
            found = check(reader, state)
        undo()

        assert found.first is not None, table.name
        assert found.first.table == table.name
        assert sentence_of(found.first).startswith(table.name)
        if table.names != table.key:
            assert "should be" in sentence_of(found.first)
    assert checked(house).first is None


def spoil(house: House, table: Table) -> Callable[[], None]:
    """Changes one value of a row, or drops a row that is all key. Returns what undoes it."""
    with house.store.reading() as reader:
        row = reader.query(f"SELECT {', '.join(table.names)} FROM {table.name}")[0]
    where = " AND ".join(f"{name} = ?" for name in table.key)
    key = [row[table.names.index(name)] for name in table.key]
    column = next((c for c in reversed(table.columns) if c.name not in table.key), None)
    marks = ", ".join("?" * len(row))
    if column is None:
        change, value = f"DELETE FROM {table.name} WHERE {where}", key
        back, former = f"INSERT INTO {table.name} VALUES ({marks})", list(row)
    else:
        change = back = f"UPDATE {table.name} SET {column.name} = ? WHERE {where}"
        value = [WRONG[column.kind], *key]
        former = [row[table.names.index(column.name)], *key]
    with house.store.writing() as tx:
        tx.execute(change, value)

    def undo() -> None:
        with house.store.writing() as tx:
            tx.execute(back, former)

    return undo


def test_the_same_log_gives_the_same_bytes(lived: Lived, tmp_path: Path, postgres: Any) -> None:
    """Twice over, and from a copy of the log in the other kind of store."""
    house = lived.house
    first = written(house)
    assert written(house) == first

    is_sqlite = house.store.dialect == "sqlite"
    url = postgres.url() if is_sqlite else f"sqlite:///{tmp_path}/other.db"
    upto = house.store.head()
    backup.copy_store(house, local("tester"), url, silent)
    config = lived.deployment.config.read_text().replace(house.settings.store.url, url)
    (tmp_path / "gatebook.toml").write_text(config)
    (tmp_path / "master.key").write_bytes((lived.deployment.directory / "master.key").read_bytes())
    (tmp_path / "master.key").chmod(0o600)
    other = open_house(Settings.load(tmp_path / "gatebook.toml", {}))
    try:
        other.prepare()
        assert other.store.dialect != house.store.dialect
        assert written(other, upto) == first
    finally:
        other.close()


def test_a_replay_up_to_a_place_is_what_was_printed_there(tmp_path: Path) -> None:
    """Whatever happens later, erasures of names aside."""
    _deployment, house = opened(tmp_path)
    try:
        life = FullerLife(house, seed=5)
        life._steps = [step for step in life._steps if step != life._erase]
        kept: dict[int, bytes] = {}
        for _ in range(4):
            for _step in range(60):
                life.step()
            kept[house.store.head()] = written(house)

        assert len(set(kept.values())) == 4
        assert {upto: written(house, upto) for upto in kept} == kept
    finally:
        house.close()


def test_no_false_alarm_while_commands_go_on(tmp_path: Path) -> None:
    """Log and rows are read in one snapshot: whatever is appended meanwhile changes nothing."""
    _deployment, house = opened(tmp_path)
    try:
        life, ended = FullerLife(house, seed=3), threading.Event()

        def live() -> None:
            while not ended.is_set():
                life.step()

        thread = threading.Thread(target=live)
        thread.start()
        try:
            found = [checked(house)]
            while life.accepted < 150 and len(found) < 2_000:
                found.append(checked(house))
        finally:
            ended.set()
            thread.join(30)

        assert [one.first for one in found if one.first is not None] == []
        assert found[-1].rows["access_accounts"] > found[0].rows["access_accounts"]
    finally:
        house.close()


def test_no_false_alarm_beside_a_server(tmp_path: Path, capfd: Any) -> None:
    """A server that answers sign-ins meanwhile, in processes of its own."""
    deployment = Deployment(tmp_path, "sqlite:///gatebook.db", server="workers = 1")
    deployment.create()
    with deployment.served() as served:
        ended = threading.Event()

        def sign_in() -> None:
            while not ended.is_set():
                served.client.login(ADMIN, ADMIN_PASSWORD)

        thread = threading.Thread(target=sign_in)
        thread.start()
        try:
            words = ["--config", str(deployment.config), "audit", "replay", "--check"]
            codes = [run(words) for _ in range(8)]
        finally:
            ended.set()
            thread.join(30)

    assert codes == [0] * 8
    assert "The read models are what the log says" in capfd.readouterr().out


# --- the command


def gatebook(lived: Lived, capfdbinary: Any, *words: str) -> tuple[int, bytes, bytes]:
    """Runs a command beside the open house. Returns code, output, errors."""
    code = run(["--config", str(lived.deployment.config), *words])
    said = capfdbinary.readouterr()
    return code, said.out, said.err


def test_the_command_prints_the_state(lived: Lived, capfdbinary: Any) -> None:
    """Canonical JSON; with a choice only what belongs to it; and it is on record that it was."""
    head = lived.house.store.head()
    code, out, err = gatebook(lived, capfdbinary, "audit", "replay", "--until", str(head))

    assert code == 0
    assert out == written(lived.house, head)
    assert b"a second" in err
    state = json.loads(out)
    assert state["position"] == head
    proven = {each["account_id"] for each in state["credentials"]}
    one = next(each for each in state["accounts"] if each["username"] and each["id"] in proven)
    code, out, _err = gatebook(
        lived, capfdbinary, "audit", "replay", "--until", str(head), "--account", one["username"]
    )
    mine = json.loads(out)
    assert mine["accounts"] == [one]
    assert {each["account_id"] for each in mine["credentials"]} == {one["id"]}
    code, out, _err = gatebook(lived, capfdbinary, "--quiet", "audit", "replay", "--role", "viewer")
    assert [each["name"] for each in json.loads(out)["roles"]] == ["viewer"]
    [jti] = [each["jti"] for each in state["tokens"]][:1]
    words = ["--quiet", "audit", "replay", "--until", str(head), "--token", jti]
    _code, out, _err = gatebook(lived, capfdbinary, *words)
    assert [each["jti"] for each in json.loads(out)["tokens"]] == [jti]
    newest = lived.house.store.event(lived.house.store.head())
    assert newest is not None
    assert (newest.event.type, newest.event.command) == ("console.used", "audit replay")


def test_the_command_checks(lived: Lived, capfdbinary: Any) -> None:
    """Code 0 with counts; code 1 naming the first difference; nothing is changed by either."""
    code, out, _err = gatebook(lived, capfdbinary, "--json", "audit", "replay", "--check")
    found = json.loads(out)
    assert (code, found["same"]) == (0, True)
    assert found["rows"]["access_accounts"] > 20

    undo = spoil(lived.house, ACCESS.tables[0])
    code, out, err = gatebook(lived, capfdbinary, "audit", "replay", "--check")
    undo()
    assert code == 1
    assert b"access_accounts" in err
    assert b"should be" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--role", "viewer", "--all"], 2, b"one thing at a time"),
        (["--check", "--role", "viewer"], 2, b"--check compares everything"),
        (["--until", "999999"], 1, b"no event 999999"),
        (["--until", "2999-01-01"], 2, b"still to come"),
        (["--role", "nobody-has-it"], 1, b"no such role"),
        (["--session", "nothing"], 2, b"session's id"),
        (["--token", "11111111-1111-4111-8111-111111111111"], 1, b"no such token"),
    ],
)
def test_what_cannot_be_answered_is_said(
    lived: Lived, capfdbinary: Any, words: list[str], code: int, said: bytes
) -> None:
    """One line that says what is wrong, and the code that scripts go by."""
    found, _out, err = gatebook(lived, capfdbinary, "--quiet", "audit", "replay", *words)

    assert (found, err.count(b"\n")) == (code, 1)
    assert said in err


def test_a_file_is_written_whole_and_for_its_owner(
    lived: Lived, capfdbinary: Any, tmp_path: Path
) -> None:
    """What is in it is what would have been printed; nobody else may read it."""
    head, file = lived.house.store.head(), tmp_path / "state.json"
    words = ["audit", "replay", "--until", str(head), "--output", str(file)]
    code, _out, _err = gatebook(lived, capfdbinary, *words)

    assert code == 0
    assert file.read_bytes() == written(lived.house, head)
    assert file.stat().st_mode & 0o777 == 0o600
