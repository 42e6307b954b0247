"""Turns a plan and a function into Dagster assets: locks, checks, metadata and the line in the terminal."""

import inspect
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
import polars as pl

from assets.engine.asset_metadata import asset_spec, key_of, result_of
from assets.engine.builtin_checks import check_results, check_specs
from assets.engine.console import say
from assets.engine.executors import needs_of
from assets.engine.failure_messages import is_ours, machine_trouble
from assets.engine.locks import hold
from assets.engine.notes import joined
from assets.engine.plan import AssetPlan, Step, part_of, stored
from assets.engine.project import Project
from assets.engine.reports import Reported, reported
from assets.engine.run_config import fields_of
from pipeline.settings import load

STEPS: MutableMapping[dg.AssetsDefinition, Step] = WeakKeyDictionary()  # the step behind each definition


def stage_asset(
    plan: AssetPlan,
    *,
    kinds: Set[str] = frozenset({"polars", "parquet"}),
    deps: Sequence[dg.AssetDep] = (),
    slices: dg.PartitionsDefinition | None = None,
    freshness_policy: dg.FreshnessPolicy | None = None,
    automation_condition: dg.AutomationCondition | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a plain function the asset of its name, or the tables named in `plan.writes`.

    A parameter annotated `pl.DataFrame` is an upstream table, one annotated `Path` the file or folder of an upstream
    asset. `deps` are further upstream assets whose content does not matter. With `slices` the function is called once
    per slice, with that slice of its sliced inputs. The other options are those of `dg.multi_asset`.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        step = plan.for_function(function)
        config = inspect.signature(function).parameters.get("config")
        upstream = [*(key_of(name) for name in (*step.reads, *step.after)), *deps]
        common: dict[str, Any] = {"deps": upstream, "code_version": step.page_version(load()), "partitions_def": slices}
        common |= {"freshness_policy": freshness_policy, "automation_condition": automation_condition}
        words = inspect.getdoc(function) or ""

        @dg.multi_asset(
            specs=[asset_spec(name, step.stage, words, kinds=set(kinds), **common) for name in step.writes],
            check_specs=[check for name in step.writes for check in check_specs(name)],
            name=f"make_{function.__name__}",
            op_tags=needs_of(step.stage, load()),
            can_subset=len(step.writes) > 1,  # all are written nevertheless: see `reported`
            config_schema=fields_of(config.annotation) if config else None,
            **options,
        )
        def materialize(context: dg.AssetExecutionContext, project: dg.ResourceParam[Project]) -> Iterator[Reported]:
            given = config.annotation(**context.op_execution_context.op_config) if config else None
            yield from _materialize(step, function, context, project, given)

        STEPS[materialize] = Step(step, function, config.annotation if config else None, slices is not None)
        return materialize

    return decorate


def _materialize(
    plan: AssetPlan, function: Callable[..., Any], context: dg.AssetExecutionContext, project: Project, config: Any
) -> Iterator[Reported]:
    """Run the plan for each part, then report each of its assets. A run of checks alone makes nothing."""
    parts = context.partition_keys if context.assets_def.partitions_def else [""]
    started, tables, changed = time.monotonic(), dict[str, pl.DataFrame](), set[str]()
    for part in parts:
        locks = (plan.outputs(part), plan.inputs(project, part), f"run {context.run.run_id}")
        with failures(), hold(project.storage / ".made", *locks):
            wanted = bool(context.selected_asset_keys)
            if wanted and plan.run(function, project, part, config=config, context=context, tables=tables):
                changed.add(part)
    seconds = time.monotonic() - started
    for name in plan.writes:
        with failures():
            made = {part: stored(project, part_of(name, part)) for part in parts}
            whole, new = joined([*made.values()]), joined([made[part] for part in parts if part in changed])
            places = [project.here(part_of(name, part), whole=False) for part in parts]
            changed_by_hand = [said for part in parts if (said := project.changed(part_of(name, part)))]
            checks = check_results(name, places, whole, changed_by_hand)
        say(name, whole.metadata, seconds, not changed)
        recomputed = new.metadata.get("recomputed", new.metadata.get("rows", 0))
        shown = replace(whole, metadata=whole.metadata | {"recomputed": recomputed})
        result = result_of(name, shown, seconds, not changed, checks=checks, place=project.path(name))
        yield from reported(context, result, plan.page_version(project.settings))


@contextmanager
def failures() -> Iterator[None]:
    """Raise errors as `dg.Failure`: those of our own modules and of the disk as one sentence.

    Only errors marked `transient`, such as a server that does not answer, let Dagster try again.
    """
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:
        if is_ours(error):
            raise dg.Failure(str(error), allow_retries=getattr(error, "transient", False)) from None
        sentence = machine_trouble(error) or f"{type(error).__name__}: {error}"
        raise dg.Failure(sentence, allow_retries=False) from error
