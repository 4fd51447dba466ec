"""Trust: a database that shows the verifier another log than the service works on.

Whoever writes to the database need not keep to tables: a view, an index that was bent, a policy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gatebook.store.structure import findings
from gatebook.tools import verify
from tests.api.served import Deployment
from tests.postgres import Server
from tests.trust.evidence import (
    Copy,
    Original,
    clone_file,
    clone_schema,
    opened,
    write_original,
)

VICTIM = 150


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A signed log in a file."""
    directory, copies = tmp_path_factory.mktemp("original"), tmp_path_factory.mktemp("copies")
    url = f"sqlite:///{directory}/gatebook.db"
    deployment = Deployment(Path(directory), url)
    write_original(deployment)
    return Original(deployment, url, lambda source: clone_file(source, copies))


def refused(original: Original, copy: Copy) -> bool:
    """Whether the verifier will have nothing to do with it, in whatever words."""
    try:
        return not original.verify(copy).ok
    except verify.Unreadable:
        return True


def bent_index(copy: Copy) -> None:
    """The index by which streams are read points to a table in which one event is another."""
    path = copy.url.removeprefix("sqlite:///")
    copy.run(
        "CREATE TABLE evil (position INTEGER PRIMARY KEY, recorded_at, stream_id, version, "
        "UNIQUE (stream_id, version))",
        "INSERT INTO evil SELECT position, recorded_at, stream_id, version FROM log",
        f"DELETE FROM evil WHERE position = {VICTIM}",
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema "
            "WHERE name = 'sqlite_autoindex_evil_1') WHERE name = 'sqlite_autoindex_log_1'"
        )
        connection.execute("DELETE FROM sqlite_schema WHERE tbl_name = 'evil'")
        connection.commit()


def test_an_index_that_hides_an_event_is_seen(on_sqlite: Original) -> None:
    """Streams are read by an index: an event that it leaves out is not there for any decision."""
    copy = on_sqlite.copy()
    (stream,) = copy.run(f"SELECT stream_id FROM log WHERE position = {VICTIM}")
    count = ("SELECT count(payload) FROM log WHERE stream_id = ?", stream)
    (before,) = copy.run(count)[0]
    assert original_is_good(on_sqlite, copy)
    bent_index(copy)
    assert copy.run(count) == [(before - 1,)], "the attack itself has to work"
    assert refused(on_sqlite, copy)


def original_is_good(original: Original, copy: Copy) -> bool:
    """What is attacked was good before: no refusal is worth anything otherwise."""
    report = original.verify(copy)
    assert report.ok, str(report)
    return True


VIEWS = {
    # What the service has written to since it opened it shows another log than a reader's.
    "who wrote": "CASE WHEN total_changes() > 0 THEN x'00' ELSE payload END",
    "the hour": "CASE WHEN strftime('%H') = '99' THEN x'00' ELSE payload END",
}


@pytest.mark.parametrize("shown", VIEWS)
def test_a_view_is_no_log(on_sqlite: Original, shown: str) -> None:
    """A view can tell who asks: the verifier is shown the log that was signed."""
    copy = on_sqlite.copy()
    copy.run(
        "ALTER TABLE log RENAME TO kept",
        "CREATE VIEW log AS SELECT position, recorded_at, stream_id, version, topic, metadata, "
        f"{VIEWS[shown]} AS payload FROM kept",
    )
    assert refused(on_sqlite, copy)


def test_heads_that_are_computed_are_no_heads(on_sqlite: Original) -> None:
    """A view in the place of the stored hashes or heads may go on for ever."""
    copy = on_sqlite.copy()
    copy.run(
        "DROP TABLE tree_tiles",
        "CREATE VIEW tree_tiles AS WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x FROM n) "
        "SELECT 0 AS level, x - 1 AS tile, x'00' AS hashes FROM n WHERE x < 0",
    )
    assert refused(on_sqlite, copy)


ON_A_SERVER = {
    "view": (
        "ALTER TABLE log RENAME TO kept",
        "CREATE VIEW log AS SELECT position, recorded_at, stream_id, version, topic, metadata, "
        "CASE WHEN current_setting('transaction_read_only') = 'on' THEN payload ELSE '' END "
        "AS payload FROM kept",
    ),
    "policy": (
        "ALTER TABLE log ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE log FORCE ROW LEVEL SECURITY",
        "CREATE POLICY sly ON log USING (current_setting('transaction_read_only') = 'on' "
        f"OR position <> {VICTIM})",
    ),
}


@pytest.mark.parametrize("way", ON_A_SERVER)
def test_a_server_does_not_show_two_logs(way: str, tmp_path: Path, postgres: Server) -> None:
    """PostgreSQL can tell the verifier's transaction too, which only reads."""
    url = postgres.url()
    deployment = Deployment(tmp_path, url)
    made = [url]

    def clone(source: str) -> str:
        made.append(clone_schema(postgres, source))
        return made[-1]

    try:
        write_original(deployment)
        original = Original(deployment, url, clone)
        copy = original.copy()
        assert original_is_good(original, copy)
        copy.run(*ON_A_SERVER[way])
        assert refused(original, copy)
    finally:
        for one in made:
            postgres.drop(one)


def test_a_file_of_heads_is_read_in_bounded_memory(on_sqlite: Original) -> None:
    """A witness is written by others: a line without end is refused, not taken in."""
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while taken < 1_000:
            taken += 1
            yield "x" * 10_000

    report = verify.verify(on_sqlite.copy().url, [on_sqlite.vkey], [("hostile", endless())])
    assert not report.ok
    assert taken < 10


def test_what_a_head_says_does_not_steer_a_terminal(
    on_sqlite: Original, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of heads was written by others, and its words are quoted."""
    file = tmp_path / "heads"
    file.write_bytes(b"\x1b]0;owned\x07\x1b[2Jall\xffagrees\n1\nx\n\n\xe2\x80\x94 a b\n")
    log = on_sqlite.copy().url.removeprefix("sqlite:///")
    key = str(on_sqlite.key.verifier)
    assert verify.main(["--log", log, "--key", key, "--checkpoint", str(file)]) == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "owned" in said.out


SILENCED = {
    "sqlite": (
        "CREATE TRIGGER quiet BEFORE INSERT ON log WHEN NEW.topic LIKE 'login.failed%' "
        "BEGIN SELECT RAISE(IGNORE); END",
    ),
    "postgresql": (
        "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER quiet BEFORE INSERT ON log FOR EACH ROW "
        "WHEN (NEW.topic LIKE 'login.failed%') EXECUTE FUNCTION quiet()",
    ),
}


@pytest.mark.parametrize("kind", SILENCED)
def test_a_trigger_that_leaves_events_out_is_found(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The numbers go on without a gap, so no hash tells: `store verify` looks at the triggers."""
    url = "sqlite:///gatebook.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").url()
    deployment = Deployment(tmp_path, url)
    deployment.create()
    with opened(deployment) as house:
        assert list(findings(house, lambda _done, _all: None)) == []
        with house.store.writing() as tx:
            for statement in SILENCED[kind]:
                tx.execute(statement)
        (found,) = findings(house, lambda _done, _all: None)
        assert "quiet" in found.message
        with house.store.writing() as tx:
            tx.execute("DROP TRIGGER quiet" + (" ON log" if kind == "postgresql" else ""))
            tx.execute(
                "ALTER TABLE log DISABLE TRIGGER log_refuses"
                if kind == "postgresql"
                else "DROP TRIGGER log_refuses_update"
            )
        assert any("log_refuses" in one.message for one in findings(house, lambda _d, _a: None))
    if kind == "postgresql":
        request.getfixturevalue("postgres").drop(url)
