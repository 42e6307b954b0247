"""The store: nothing is lost, nobody overwrites anybody in silence, and the log only grows."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ml.assistant.decisions import read_decisions
from ml.assistant.opinions import begin_opinions, read_ratings
from ml.assistant.schema import comparisons, images, metadata, ratings
from ml.assistant.store import Act, Conflict, NewImage, NoSuchImage, NothingToUndo, Store, is_blind

BRONZE, SILVER, METAL, PORTRAITS = "300010957", "300011029", "300010900", "300015637"


def test_a_decision_stands_with_who_and_when(store, image_id, act, vocabulary):
    after = store.decide(image_id, BRONZE, "accept", act(0), vocabulary)
    assert (after.version, after.verdicts, after.can_undo) == (1, {BRONZE: "accepted"}, True)
    (line,) = store.log(image_id)
    assert (line.who, line.at.isoformat()) == ("anna", "2026-01-01T00:00:01+00:00")


def test_a_suggested_tag_is_accepted_with_its_rank_and_score_and_another_is_added(store, image_id, act, vocabulary):
    showing = store.record_showing(image_id, "softmax", {"materials": [(SILVER, 0.9), (BRONZE, 0.4)]})
    store.decide(image_id, BRONZE, "accept", act(0, showing_id=showing, clicks=3), vocabulary)
    store.decide(image_id, PORTRAITS, "accept", act(1, showing_id=showing), vocabulary)
    actions = [line.step.changes[0].action for line in store.log(image_id)]
    assert actions == ["accept", "add"]
    rows = read_decisions(str(store.engine.url)).to_dicts()
    assert [(row["tag_id"], row["rank"], row["model"], row["clicks"]) for row in rows] == [
        (BRONZE, 2, "softmax", 3),
        (PORTRAITS, None, "softmax", 0),
    ]
    assert rows[0]["score"] == pytest.approx(0.4)


def test_a_showing_of_another_image_counts_for_nothing(store, image_id, act, vocabulary):
    other = store.add_image(NewImage("b" * 64, 10, 10)).image_id
    showing = store.record_showing(other, "softmax", {"materials": [(BRONZE, 0.4)]})
    store.decide(image_id, BRONZE, "accept", act(0, showing_id=showing), vocabulary)
    assert read_decisions(str(store.engine.url))["model"].to_list() == [None]


def test_a_second_cataloguer_with_an_old_version_is_told_what_changed(store, image_id, act, vocabulary):
    store.decide(image_id, BRONZE, "accept", act(0), vocabulary)
    with pytest.raises(Conflict) as conflict:
        store.decide(image_id, SILVER, "accept", act(0, who="berta"), vocabulary)
    assert conflict.value.current.version == 1
    assert [(line.who, line.step.changes[0].tag_id) for line in conflict.value.since] == [("anna", BRONZE)]
    assert store.annotation(image_id).verdicts == {BRONZE: "accepted"}


def test_the_same_request_twice_is_one_step(store, image_id, vocabulary):
    act = Act("anna", 0, "the-same-key")
    first = store.decide(image_id, BRONZE, "accept", act, vocabulary)
    assert store.decide(image_id, BRONZE, "accept", act, vocabulary) == first
    assert len(store.log(image_id)) == 1


def test_undo_is_a_further_line_and_goes_back_step_by_step(store, image_id, act, vocabulary):
    store.decide(image_id, BRONZE, "accept", act(0), vocabulary)
    store.decide(image_id, METAL, "reject", act(1), vocabulary)
    assert store.annotation(image_id).verdicts == {METAL: "rejected"}
    assert store.undo(image_id, act(2)).verdicts == {BRONZE: "accepted"}
    assert store.undo(image_id, act(3)).verdicts == {}
    with pytest.raises(NothingToUndo):
        store.undo(image_id, act(4))
    assert [line.step.kind for line in store.log(image_id)] == ["decide", "decide", "undo", "undo"]


def test_done_can_be_undone(store, image_id, act):
    assert store.move(image_id, "done", act(0)).state == "done"
    assert store.progress() == {"open": 0, "done": 1, "skipped": 0, "all": 1}
    assert store.undo(image_id, act(1)).state == "open"


def test_the_same_bytes_are_one_image(store, image_id):
    store.add_image(NewImage(image_id, 1, 1, title="again.jpg"))
    assert [row.title for row in store.queue()] == ["vase.jpg"]


def test_an_unknown_image_is_named_as_such(store, act, vocabulary):
    with pytest.raises(NoSuchImage):
        store.decide("c" * 64, BRONZE, "accept", act(0), vocabulary)


def test_undone_and_withdrawn_decisions_are_not_read(store, image_id, act, vocabulary):
    store.decide(image_id, BRONZE, "accept", act(0), vocabulary)
    store.decide(image_id, BRONZE, "accept", act(1), vocabulary)
    store.undo(image_id, act(2))
    store.decide(image_id, SILVER, "reject", act(3), vocabulary)
    store.decide(image_id, PORTRAITS, "accept", act(4), vocabulary)
    store.decide(image_id, PORTRAITS, "withdraw", act(5), vocabulary)
    rows = read_decisions(str(store.engine.url))
    assert rows.select("decision_id", "tag_id", "accepted").rows() == [
        (f"{'a' * 24}-000001-00", BRONZE, True),
        (f"{'a' * 24}-000004-00", SILVER, False),
    ]


def test_the_blind_share_is_drawn_from_the_seed():
    ids = [f"{number:064x}" for number in range(2_000)]
    blind = [is_blind(image, 0.2, 7) for image in ids]
    assert 330 < sum(blind) < 470  # 400 expected, 18 the standard deviation
    assert blind == [is_blind(image, 0.2, 7) for image in ids]
    assert blind != [is_blind(image, 0.2, 8) for image in ids]
    assert not any(is_blind(image, 0.0, 7) for image in ids)
    assert all(is_blind(image, 1.0, 7) for image in ids)


def test_migrations_bring_a_database_to_the_declared_tables(store):
    inspector = sa.inspect(store.engine)
    for table in metadata.tables.values():
        found = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert found == {column.name: bool(column.nullable) for column in table.columns}


def test_sqlite_waits_for_the_disk(store):
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_of_twenty_at_once_one_wins_each_version(store, image_id, vocabulary):
    def attempt(number: int) -> str:
        try:
            store.decide(image_id, BRONZE, "accept", Act(f"c{number}", 0, f"k{number}"), vocabulary)
        except Conflict:
            return "conflict"
        return "saved"

    with ThreadPoolExecutor(20) as pool:
        outcomes = sorted(pool.map(attempt, range(20)))
    assert outcomes == ["conflict"] * 19 + ["saved"]
    assert store.annotation(image_id).version == 1


WRITER = """
import sys
from pathlib import Path
from ml.assistant.store import Act, NewImage, Store
from ml.assistant.vocabulary import Vocabulary, read_tag_list
store = Store(sys.argv[1])
vocabulary = Vocabulary(read_tag_list(Path(sys.argv[2]))[1])
tags = sorted(vocabulary.terms)
image = store.add_image(NewImage("d" * 64, 1, 1)).image_id
version = store.annotation(image).version
while True:
    after = store.decide(image, tags[version % len(tags)], "accept", Act("x", version, f"k{version}"), vocabulary)
    version = after.version
    print(version, flush=True)
"""


@pytest.mark.long
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'killed.sqlite'}"
    tag_list = Path(__file__).with_name("tag_list.json")
    acknowledged = 0
    for round_ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(tag_list)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
        )
        assert writer.stdout is not None
        for _ in range(5 + 3 * round_):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout.read().split():  # acknowledged before the kill reached it
            acknowledged = int(line)
        writer.stdout.close()
        writer.wait()
        store = Store(url)
        assert store.annotation("d" * 64).version >= acknowledged
        assert [line.step.version for line in store.log("d" * 64)] == list(
            range(1, store.annotation("d" * 64).version + 1)
        )
        store.close()
    assert acknowledged > 200


def test_a_database_of_the_first_version_is_brought_up_to_date_with_its_decisions(tmp_path, vocabulary):
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "ml.assistant:migrations")
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            f"INSERT INTO images VALUES (1, '{'a' * 64}', NULL, 'vase', 'upload', NULL, NULL, NULL, 9, 9, 'anna',"
            " '2026-01-01', 0, 'done', 1)"
        )
        connection.exec_driver_sql(
            f"INSERT INTO steps VALUES ('{'a' * 64}', 1, 'decide', NULL, 'anna', '2026-01-01', NULL, 0, NULL, 'k')"
        )
        connection.exec_driver_sql(
            f"INSERT INTO decisions VALUES ('d', '{'a' * 64}', 1, 0, '{BRONZE}', 'materials', 'accept', NULL, NULL,"
            " NULL, NULL)"
        )
    engine.dispose()
    with closing(Store(url)) as store:
        (row,) = store.queue()
        assert (row.title, row.second_of, row.canvas, row.stated) == ("vase", None, None, None)
        assert store.annotation(row.image_id).verdicts == {BRONZE: "accepted"}
        assert len(begin_opinions(store, "berta", 1)) == 1
    assert read_decisions(url)["tag_id"].to_list() == [BRONZE]


def test_compared_opinions_survive_the_migration_to_several_of_them(tmp_path):
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    with closing(Store(url)) as store:
        first = store.add_image(NewImage("a" * 64, 9, 9)).image_id
        with store.writing() as connection:
            opinion = {"image_id": "b" * 64, "second_of": first, "added_by": "berta"}
            row = {name: value for name, value in store.image(first)._mapping.items() if name != "position"} | opinion
            connection.execute(sa.insert(images).values(row | {"state": "done"}))
            connection.execute(sa.update(images).values(state="done"))
            pair = {"second_id": "b" * 64, "image_id": first, "first_version": 0, "second_version": 0}
            connection.execute(sa.insert(comparisons).values(pair))
            rated = {"second_id": "b" * 64, "tag_id": BRONZE, "facet": "materials", "first": True, "second": False}
            connection.execute(sa.insert(ratings).values(rated))
        before = read_ratings(store)
        with store.engine.execution_options(assistant_writes=True).begin() as connection:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", "ml.assistant:migrations")
            config.set_main_option("path_separator", "os")
            command.downgrade(config, "0006")
            assert connection.exec_driver_sql("SELECT image_id, tag_id FROM ratings").all() == [(first, BRONZE)]
    with closing(Store(url)) as store:
        assert read_ratings(store) == before
        assert [(each.image_id, each.second_id) for each in before] == [(first, "b" * 64)]
