"""Manual clean-up: the curators' CSV and the cataloguers' decisions, as rows of one table."""

from datetime import date
from pathlib import Path

import polars as pl

from pipeline.tables import CORRECTIONS
from pipeline.text_files import read_rows
from pipeline.texts import record_id
from pipeline.vocabulary.identifiers import aat_id

COLUMNS = ("record_id", "tag_id", "action", "reason", "who", "date")
ACTIONS = ("add", "remove")
_NAMED = 5  # bad lines told in one message


class CorrectionsError(ValueError):
    """A corrections file that cannot be used; the message names the lines."""


def read_corrections(file: Path | None) -> pl.DataFrame:
    """The rows of the curators' CSV; no file, no rows.

    Columns record_id (or the address of its page), tag_id (an AAT id or an address of it), action (add or remove),
    reason, who, date (ISO).
    Raises CorrectionsError, which names every bad line up to five.
    """
    if file is None:
        return CORRECTIONS.empty()
    rows: dict[tuple[str, str], dict[str, object]] = {}
    first_line: dict[tuple[str, str], int] = {}
    problems: list[str] = []
    for given in read_rows(file, COLUMNS, CorrectionsError):
        line = given.number
        row, problem = _row(given.fields)
        if row is None:
            problems.append(f"line {line} {problem}")
            continue
        key = (str(row["record_id"]), str(row["tag_id"]))
        if key in rows:
            problems.append(f"line {line} repeats the record and tag of line {first_line[key]}")
            continue
        rows[key], first_line[key] = row, line
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise CorrectionsError(f"{file.name}: {'; '.join(problems[:_NAMED])}{more}. Correct the file, then run again.")
    return CORRECTIONS.frame(list(rows.values())).sort("record_id", "tag_id")


def decisions_as_corrections(decisions: pl.DataFrame) -> pl.DataFrame:
    """The cataloguers' decisions on records of the dataset as corrections: accepted adds, rejected removes.

    Of several decisions on one record and tag the latest counts. Decisions on uploaded images have no record.
    """
    latest = (
        decisions.filter(pl.col("record_id").is_not_null())
        .sort("record_id", "tag_id", "at", "decision_id")
        .unique(["record_id", "tag_id"], keep="last", maintain_order=True)
    )
    return latest.select(
        "record_id",
        "tag_id",
        action=pl.when("accepted").then(pl.lit("add")).otherwise(pl.lit("remove")),
        reason=pl.format("decided in the assistant ({})", pl.col("model").fill_null("blind mode")),
        who="who",
        date=pl.col("at").dt.date(),
        source=pl.lit("cataloguer_decisions"),
    )


def all_corrections(of_file: pl.DataFrame, of_decisions: pl.DataFrame) -> pl.DataFrame:
    """Both kinds in one table; where they meet on a record and tag, the curators' file counts."""
    both = pl.concat([of_file, of_decisions.select(of_file.columns)])
    return both.unique(["record_id", "tag_id"], keep="first", maintain_order=True).sort("record_id", "tag_id")


def rejected_tags(corrections: pl.DataFrame, tags: pl.DataFrame, record_tags: pl.DataFrame) -> pl.DataFrame:
    """The tags that people removed from records, and the tags below them: REJECTED_TAGS.

    A record without the tag has it as a verified negative too; models learn from that, and not only its absence.
    """
    named = corrections.filter(pl.col("action") == "remove").select("record_id", named="tag_id")
    below = tags.select("facet", "tag_id", named="path").explode("named")  # a path ends with the tag itself
    negatives = named.join(below, on="named").join(record_tags, on=["record_id", "tag_id"], how="anti")
    return (
        negatives.group_by("record_id", "facet", "tag_id")
        .agg(stated=(pl.col("named") == pl.col("tag_id")).any())
        .sort("record_id", "tag_id")
    )


def _row(fields: dict[str, str]) -> tuple[dict[str, object] | None, str]:
    """The row, or None and what is wrong with the line."""
    text = {column: fields[column].strip() for column in COLUMNS}
    if empty := [column for column in COLUMNS if not text[column]]:
        return None, f"has no {', '.join(empty)}"
    tag_id = aat_id(text["tag_id"], bare=True)
    if tag_id is None:
        return None, f"has the tag {text['tag_id']!r}, which is no AAT id"
    record = record_id(text["record_id"])
    if record is None:
        return None, f"has the record {text['record_id']!r}; Europeana's ids look like /dataset/local"
    if text["action"] not in ACTIONS:
        return None, f"has the action {text['action']!r}; it is add or remove"
    try:
        day = date.fromisoformat(text["date"])
    except ValueError:
        return None, f"has the date {text['date']!r}; write it as 2026-11-23"
    return {**text, "record_id": record, "tag_id": tag_id, "date": day, "source": "file"}, ""
