"""The one way an asset is made: read its inputs, call the plain function, write whole, describe, re-use what holds."""

import hashlib
import inspect
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.engine.asset_metadata import OWNERS, Told, description_of, key_of, result_of, schema_of
from assets.engine.builtin_checks import check_results, check_specs
from assets.engine.console import say
from assets.engine.executors import needs_of
from assets.engine.locks import InUse, hold
from assets.engine.project import SLICED, Made, Project, joined
from assets.engine.storage_errors import storage_trouble
from assets.engine.versions import code_version
from assets.partitions import slices_backfill
from pipeline.bucket import BucketError
from pipeline.parquet import ROWS_PER_GROUP, write_parquet
from pipeline.settings import load
from pipeline.tables import TABLES

GIVEN = ("context", "project", "config", "settings", "storage", "slice_name")  # parameters that are no upstream asset


def stage_asset(
    stage: str,
    *,
    code: tuple[str, ...],
    settings: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    kinds: frozenset[str] = frozenset({"polars", "parquet"}),
    after: tuple[str, ...] = (),
    pool: str | None = None,
    retry: dg.RetryPolicy | None = None,
    outside: Callable[[Project], str] | None = None,
    group: str | None = None,
    slices: dg.PartitionsDefinition | None = None,
    automation: dg.AutomationCondition | None = None,
    freshness: dg.FreshnessPolicy | None = None,
    again: Callable[[Any, Made], bool] | None = None,
    order: Sequence[dg.AssetDep] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a plain function into the asset of its name, or into the tables named in `writes`.

    A parameter annotated `pl.DataFrame` is an upstream table, read whole; one annotated `Path` is an upstream
    table or folder, given as its place. `settings` names the sections the result depends on, `code` the source
    files, `after` further upstream assets, `outside` a version of what lies beyond the graph (a museum folder).
    When none of these nor any upstream byte has changed, the function is not called and the old bytes stay, unless
    `again` says of the run's configuration and of what is there that it must be: the world outside may have changed.
    `order` are further upstream assets of which nothing is read. With `slices` it is called once per slice of the run,
    with the slice's own part of what upstream is sliced too.
    """

    def make(function: Callable[..., Any]) -> dg.AssetsDefinition:
        parameters = inspect.signature(function).parameters
        names = writes or (function.__name__,)
        reads = {name: p.annotation for name, p in parameters.items() if name not in GIVEN}
        schemas = json.dumps([str(TABLES[name].schema) for name in names if name in TABLES])
        version = f"{code_version((*code, 'pipeline/parquet.py'))}-{hashlib.sha256(schemas.encode()).hexdigest()[:8]}"

        def make_part(context: Any, project: Project, config: Any, part: str, tables: dict[str, pl.DataFrame]) -> bool:
            """Make one slice, or the whole where there are none; False when the old bytes hold."""
            depends = {
                "code": version,
                "settings": {name: getattr(project.settings, name).model_dump(mode="json") for name in settings},
                "config": config.model_dump(mode="json") if config is not None else None,
                "outside": outside(project) if outside else None,
                "inputs": {name: _made(project, part_of(name, part)).sha256 for name in sorted({*reads, *after})},
            }
            fingerprint = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
            goals = tuple(part_of(name, part) for name in names)
            previous = {goal: made for goal in goals if (made := project.made(goal)) is not None}
            held = all(goal in previous and previous[goal].fingerprint == fingerprint for goal in goals)
            if held and not (again and again(config, previous[goals[0]])):
                return False
            own = names if {"storage", "project"} & parameters.keys() else ()  # it may go on from what it wrote before
            for name in (*reads, *after, *own):
                project.here(part_of(name, part))
            given = {"context": context, "project": project, "config": config, "slice_name": part}
            given |= {"settings": project.settings, "storage": project.storage}
            arguments = {name: given[name] for name in parameters if name in GIVEN}
            arguments |= {name: _read(project, part_of(name, part), kind, tables) for name, kind in reads.items()}
            if "storage" in parameters:  # it writes its own files: until it is done, nobody knows what they hold
                _forget(project, goals)
            result = for_people(function, arguments)
            if isinstance(result, Mapping):
                result = {part_of(name, part): outcome for name, outcome in result.items()}
            _write(project, goals, fingerprint, result, previous)
            return True

        def materialize(context: Any, project: Any, config: Any = None) -> Iterator[dg.MaterializeResult]:
            started, tables, anew = time.monotonic(), dict[str, pl.DataFrame](), set[str]()
            parts = list(context.partition_keys) if slices else [""]
            for part in parts:
                goals = [part_of(name, part) for name in names]
                upstream = [one for name in (*reads, *after) for one in project.parts_of(part_of(name, part))]
                with _alone(project, goals, upstream, context):
                    if make_part(context, project, config, part, tables):
                        anew.add(part)
            seconds = time.monotonic() - started
            for name in names:
                made = {part: _made(project, part_of(name, part)) for part in parts}
                whole, worked_on = joined(list(made.values())), joined([made[part] for part in parts if part in anew])
                recomputed = worked_on.metadata.get("recomputed", worked_on.metadata.get("rows", 0))
                say(name, whole.metadata, seconds, not anew)
                checks = check_results(name, [project.here(part_of(name, part)) for part in parts], whole)
                yield result_of(
                    name, whole, seconds, not anew, recomputed=recomputed, checks=checks, place=project.path(name)
                )

        annotations: dict[str, Any] = {"context": dg.AssetExecutionContext, "project": dg.ResourceParam[Project]}
        if "config" in parameters:
            annotations["config"] = parameters["config"].annotation
            materialize.__defaults__ = None
        else:
            materialize = _without_config(materialize)
        materialize.__annotations__ = annotations
        materialize.__name__ = function.__name__
        specs = [
            dg.AssetSpec(
                key_of(name),
                deps=[*(key_of(upstream) for upstream in (*reads, *after)), *order],
                description=description_of(name, function),
                group_name=group or stage,
                kinds=set(kinds),
                owners=OWNERS,
                tags={"stage": stage},
                code_version=version,
                metadata=schema_of(name),
                partitions_def=slices,
                automation_condition=automation,
                freshness_policy=freshness,
            )
            for name in names
        ]
        return dg.multi_asset(
            specs=specs,
            check_specs=[check for name in names for check in check_specs(name)],
            name=f"make_{function.__name__}",
            pool=pool,
            retry_policy=retry,
            backfill_policy=slices_backfill() if slices else None,
            op_tags=needs_of(stage, load()),
        )(materialize)

    return make


@contextmanager
def _alone(project: Project, names: Sequence[str], reads: Sequence[str], context: Any) -> Iterator[None]:
    """Hold what a step reads and writes; a full disk, read-only storage or another run's hold is one sentence."""
    try:
        with hold(project.storage / ".made", names, reads, f"run {context.run.run_id}"):
            yield
    except (InUse, BucketError) as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except (OSError, sqlite3.Error) as error:
        said = storage_trouble(error)
        if said is None:
            raise
        raise dg.Failure(said, allow_retries=False) from error


def _without_config(function: Callable[..., Any]) -> Callable[..., Any]:
    def materialize(context: Any, project: Any) -> Iterator[dg.MaterializeResult]:
        yield from function(context, project)

    return materialize


def part_of(name: str, part: str) -> str:
    """The name of a slice of that asset; of the asset itself where it, or the run, has no slices."""
    return f"{name}/{part}" if part and name in SLICED else name


def _made(project: Project, name: str) -> Made:
    made = project.made(name)
    if made is None:
        raise dg.Failure(
            f"{name} is not in {project.storage}: materialize it first, or all of its upstream assets with it.",
            allow_retries=False,
        )
    return made


def _read(project: Project, name: str, kind: Any, tables: dict[str, pl.DataFrame]) -> Any:
    """The place of an upstream asset, or its rows: read once for all slices of a run."""
    if kind is not pl.DataFrame:
        return project.here(name)
    if name not in tables:
        tables[name] = for_people(TABLES[name].read, {"file": project.here(name)})
    return tables[name]


def for_people(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call the function; an error that our own rooms raise on purpose becomes one sentence, without a traceback.

    Only what may pass by itself is tried again: a server that did not answer, not a mistake in data or code.
    """
    try:
        return function(**arguments)
    except Exception as error:
        if type(error).__module__.partition(".")[0] in {"pipeline", "ml"}:
            raise dg.Failure(str(error), allow_retries=getattr(error, "transient", False)) from None
        said = storage_trouble(error) or f"{type(error).__name__}: {error}"
        raise dg.Failure(said, allow_retries=False) from error


def _write(
    project: Project, names: tuple[str, ...], fingerprint: str, result: Any, previous: Mapping[str, Made]
) -> None:
    """Write what the function returned; a function that wrote its own files returns their metadata, or nothing.

    All tables are checked before the first is written, so that rows that do not fit leave the previous ones.
    """
    outcomes = result if isinstance(result, Mapping) else {names[0]: result}
    told = {name: outcome.metadata for name, outcome in outcomes.items() if isinstance(outcome, Told)}
    outcomes = {name: outcome.rows if isinstance(outcome, Told) else outcome for name, outcome in outcomes.items()}
    frames = {name: frame for name, frame in outcomes.items() if isinstance(frame, pl.DataFrame)}
    tables = {name: for_people(TABLES[name].conform, {"rows": frame}) for name, frame in frames.items()}
    _forget(project, names)
    for name in names:
        if name in tables:
            write_parquet(tables[name], project.path(name), row_group_size=ROWS_PER_GROUP)
            metadata: dict[str, Any] = {"rows": tables[name].num_rows, **told.get(name, {})}
        else:
            metadata = dict(outcomes.get(name) or {})
        if not project.path(name).exists():
            raise dg.Failure(f"{name} wrote nothing to {project.path(name)}.", allow_retries=False)
        metadata["bytes"] = _size(project.path(name))
        before = previous[name].metadata if name in previous else {}
        metadata |= {f"{unit}_before": before[unit] for unit in ("rows", "bytes") if unit in before}
        project.remember(name, fingerprint, metadata)


def _forget(project: Project, names: tuple[str, ...]) -> None:
    for name in names:
        project.forget(name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
