"""A plan says what a step writes and what its result depends on, and runs the step's function. It needs no Dagster."""

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from assets.engine.declared import declared, values_of
from assets.engine.notes import SLICED, UNKNOWN, Made
from assets.engine.project import Project, size_of
from assets.engine.versions import code_files, code_version, entry_of
from pipeline.parquet import ROWS_PER_GROUP, write_parquet
from pipeline.settings import Settings
from pipeline.tables import TABLES

# Parameters of a step's function that name no upstream asset.
GIVEN = ("context", "project", "config", "settings", "storage", "slice_name")
SHOWN_SLICES = 5  # missing slices that a message names


NOTHING = Made("", "", {})
TABLE_CODE = "pipeline/parquet.py"  # what every table is read and written with


class AssetError(RuntimeError):
    """An asset cannot be made; the message says what to do."""


@dataclass(frozen=True)
class TableWithMetadata:
    """A table, and the metadata that Dagster shows beside its size."""

    rows: pl.DataFrame
    metadata: Mapping[str, Any]


# What a step's function returns: tables by name, or the metadata of files that it wrote itself.
Tables = dict[str, pl.DataFrame | TableWithMetadata]
Metadata = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class AssetPlan:
    """What one step reads and writes, and everything that its result depends on.

    A step is skipped when its code, settings with the bytes of the files that they name, configuration and the bytes of
    its upstream assets are those of the stored result.
    """

    stage: str
    code: tuple[str, ...] = ()  # beside the function and what it names: a file that it starts, or `file.py:name`
    settings: tuple[str, ...] = ()  # sections of the settings, or single ones: `curation.corrections_file`
    writes: tuple[str, ...] = ()  # names of tables and folders; empty: one, named like the function
    reads: Mapping[str, type] = field(default_factory=dict)  # DataFrame: the whole table, Path: its file or folder
    after: tuple[str, ...] = ()  # further upstream assets, which the function finds by itself
    outside: Callable[[Project], str] | None = None  # a version of what lies outside the graph, as a museum folder
    again: Callable[[Any, Made], bool] | None = None  # (config, stored): whether to run although nothing has changed
    takes_down: bool = False  # whether it obeys the take-down list itself
    of_images: bool = True  # False: it holds models or scores, no images, and the take-down list does not matter to it

    def for_function(self, function: Callable[..., Any]) -> "AssetPlan":
        """The plan with the names that the function's signature gives: what it reads, and what it writes."""
        parameters = inspect.signature(function).parameters
        reads = {name: parameter.annotation for name, parameter in parameters.items() if name not in GIVEN}
        return replace(
            self, code=(*self.code, *entry_of(function)), reads=reads, writes=self.writes or (function.__name__,)
        )

    @cached_property
    def version(self) -> str:
        """The code version: a hash of the code, and one of the written tables' schemas."""
        schemas = json.dumps([str(TABLES[name].schema) for name in self.writes if name in TABLES])
        return f"{code_version(self.entries)}-{_sha256(schemas)[:8]}"

    @property
    def entries(self) -> tuple[str, ...]:
        """Where the code begins that the result depends on (`assets.engine.versions`)."""
        return (*self.code, TABLE_CODE)

    def page_version(self, settings: Settings) -> str:
        """The code version for Dagster, with the settings in it: its page shows an asset as stale when they change."""
        return f"{self.version}-{_sha256(json.dumps(values_of(settings, self.settings), sort_keys=True))[:8]}"

    def outputs(self, part: str = "") -> list[str]:
        """The names of what the step writes for one slice; without slices, for everything."""
        return [part_of(name, part) for name in self.writes]

    def inputs(self, project: Project, part: str = "") -> list[str]:
        """The names of what the step reads for one slice, every slice of a sliced asset by itself."""
        return [one for name in (*self.reads, *self.after) for one in project.parts_of(part_of(name, part))]

    def fingerprint(self, project: Project, part: str = "", config: Any = None) -> str:
        """A hash over everything that the result depends on. Raises AssetError when an upstream asset is missing."""
        return _sha256(json.dumps(self.depends(project, part, config), sort_keys=True))

    def depends(self, project: Project, part: str = "", config: Any = None) -> dict[str, Any]:
        """Everything that the result depends on, as JSON. Raises AssetError when an upstream asset is missing."""
        return {
            "code": self.version,
            "settings": values_of(project.settings, self.settings),
            "config": config.model_dump(mode="json") if config is not None else None,
            "outside": self.outside(project) if self.outside else None,
            "inputs": {one: stored(project, part_of(one, part)).sha256 for one in sorted({*self.reads, *self.after})},
        }

    def code_files(self) -> dict[str, str]:
        """The source files behind the code version, each with a hash of what counts in it."""
        return code_files(self.entries)

    def is_current(self, project: Project, fingerprint: str, part: str = "", config: Any = None) -> bool:
        """Whether everything the step writes is stored, was made with this fingerprint, and need not be made again."""
        made = [project.made(name) for name in self.outputs(part)]
        if any(one is None or one.fingerprint != fingerprint for one in made):
            return False
        return not (self.again and self.again(config, made[0]))  # type: ignore[arg-type]

    def run(
        self,
        function: Callable[..., Any],
        project: Project,
        part: str = "",
        *,
        config: Any = None,
        context: Any = None,
        tables: dict[str, pl.DataFrame] | None = None,
    ) -> bool:
        """Call the function and store what it returns. Returns False, without a call, when the result is current.

        `tables` keeps the upstream tables that were read, for the other slices of a run.
        """
        for name in self.inputs(project, part):
            project.check(name)
        takedowns = self._takedowns(project, part)
        depends = self.depends(project, part, config)
        fingerprint = _sha256(json.dumps(depends, sort_keys=True))
        if self.is_current(project, fingerprint, part, config):
            self._note_takedowns(project, part, takedowns)
            return False
        outputs, wanted = self.outputs(part), inspect.signature(function).parameters
        previous = {name: made for name in outputs if (made := project.made(name))}
        for name in self.after:
            project.here(part_of(name, part))
        if {"storage", "project"} & wanted.keys():  # it may go on from what it wrote before
            for name in outputs:
                project.here(name)
        given = {"context": context, "project": project, "config": config, "slice_name": part}
        given |= {"settings": declared(project.settings, self.settings), "storage": project.storage}
        tables = {} if tables is None else tables
        upstream = {name: _read(project, part_of(name, part), kind, tables) for name, kind in self.reads.items()}
        if "storage" in wanted:  # it writes its own files: until it returns, nobody knows what they hold
            project.forget(*outputs)
        started = time.monotonic()
        result = function(**{name: given[name] for name in wanted if name in GIVEN}, **upstream)
        seconds = round(time.monotonic() - started, 3)
        about = {"takedowns": takedowns, "depends": depends, "code": self.code_files(), "seconds": seconds}
        self._store(project, part, fingerprint, result, previous, about)
        return True

    def _takedowns(self, project: Project, part: str) -> str | None:
        """The take-down list that holds for the result; None when it has no images. Raises AssetError.

        Images that were made under another list may hold what it now names. Nothing is made from them.
        """
        today = project.takedowns
        if self.takes_down:
            return today
        read = {one: stored(project, part_of(one, part)).takedowns for one in (*self.reads, *self.after)}
        if older := [one for one, takedowns in read.items() if takedowns not in (None, today)]:
            todo = "run the job `dataset`, which removes what the list names, and then this one again."
            changed = f"The take-down list has changed since {older[0]} was made"
            unknown = f"The note on {older[0]} does not say which take-down list it was made under"
            raise AssetError(f"{unknown if read[older[0]] == UNKNOWN else changed}: {todo}")
        return today if self.of_images and any(one is not None for one in read.values()) else None

    def _note_takedowns(self, project: Project, part: str, takedowns: str | None) -> None:
        """Note on a current result that another take-down list has left it as it is."""
        for name in self.outputs(part):
            made = project.made(name)
            if made is not None and made.takedowns != takedowns:
                project.note_takedowns(name, takedowns)

    def _store(
        self,
        project: Project,
        part: str,
        fingerprint: str,
        result: Any,
        previous: Mapping[str, Made],
        about: Mapping[str, Any],
    ) -> None:
        """Write what the function returned; a function that wrote its own files returns their metadata, or nothing.

        All tables are checked before the first is written: rows that do not fit leave the previous tables in place.
        """
        outcomes = result if isinstance(result, Mapping) else {self.writes[0]: result}
        tables: dict[str, pa.Table] = {}
        metadata: dict[str, dict[str, Any]] = {}
        for name in self.writes:
            rows, metadata[name] = _rows_and_metadata(outcomes.get(name))
            if rows is not None:
                tables[name] = TABLES[name].conform(rows)
                metadata[name] = {"rows": tables[name].num_rows, **metadata[name]}
        project.forget(*self.outputs(part))
        for name, output in zip(self.writes, self.outputs(part), strict=True):
            path, before = project.path(output), previous.get(output, NOTHING)
            if name in tables:
                write_parquet(tables[name], path, row_group_size=ROWS_PER_GROUP)
            if not path.exists():
                raise AssetError(f"{output} wrote nothing to {path}.")
            sizes = {f"{unit}_before": before.metadata[unit] for unit in ("rows", "bytes") if unit in before.metadata}
            facts = {**metadata[name], "bytes": size_of(path), **sizes}
            project.remember(output, fingerprint, facts, longest=max(before.longest, about["seconds"]), **about)


@dataclass(frozen=True, eq=False)
class Step:
    """A plan with the function that it runs, and the class of its configuration; `sliced`: once for every slice."""

    plan: AssetPlan
    function: Callable[..., Any]
    config: Callable[[], Any] | None
    sliced: bool


def part_of(name: str, part: str) -> str:
    """The name of an asset's slice; the asset's own name where it, or the run, has no slices."""
    return f"{name}/{part}" if part and name in SLICED else name


def stored(project: Project, name: str) -> Made:
    """How a stored asset was made. Raises AssetError when it, or one of its slices, is not there."""
    made = project.made(name)
    if made is None:
        raise AssetError(_missing(project, name))
    return made


def _missing(project: Project, name: str) -> str:
    """What is not stored, and what to do."""
    parts = project.parts_of(name)
    missing = [part for part in parts if project.made(part) is None]
    if len(missing) < len(parts):
        listed = ", ".join(part.rpartition("/")[2] for part in missing[:SHOWN_SLICES])
        more = f" and {len(missing) - SHOWN_SLICES} more" if len(missing) > SHOWN_SLICES else ""
        count = f"{len(missing)} of {len(parts)} slices are missing: {listed}{more}"
        return f"{name}: {count}. `eufcc run dataset` makes them and keeps the others."
    return f"{name} is not in {project.storage}: materialize it first, or all of its upstream assets with it."


def _read(project: Project, name: str, kind: type, tables: dict[str, pl.DataFrame]) -> Path | pl.DataFrame:
    path = project.here(name)
    if kind is not pl.DataFrame:
        return path
    if name not in tables:
        tables[name] = TABLES[name].read(path)
    return tables[name]


def _rows_and_metadata(outcome: Any) -> tuple[pl.DataFrame | None, dict[str, Any]]:
    if isinstance(outcome, TableWithMetadata):
        return outcome.rows, dict(outcome.metadata)
    return (outcome, {}) if isinstance(outcome, pl.DataFrame) else (None, dict(outcome or {}))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
