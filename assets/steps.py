"""The stages, and their steps in the order in which they run."""

from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from types import ModuleType

import dagster as dg

from assets import (
    curation,
    evaluation,
    features,
    harvest,
    history,
    images,
    official,
    promotion,
    release,
    relinks,
    splits,
    suites,
    training,
    vocabulary,
)
from assets.automation import STAGES_OF
from assets.engine.asset_factory import STEPS
from assets.engine.plan import Step

BENCHMARK = (training, evaluation, suites, promotion)
HARVESTED = (harvest, vocabulary, curation, images, features, splits, history, *BENCHMARK, release)
# The published splits are not ours to make again: there is no history. `official` has a release of its own.
PUBLISHED = (official, images, relinks, features, *BENCHMARK)
STAGES = PUBLISHED if harvest.SETTINGS.published else HARVESTED


def steps_in_order() -> list[Step]:
    """Every step after those whose tables it reads."""
    steps = {name: step for module in STAGES for step in _found_in(module) for name in step.plan.writes}
    reads = {name: sorted({*step.plan.reads, *step.plan.after} & steps.keys()) for name, step in steps.items()}
    return list(dict.fromkeys(steps[name] for name in TopologicalSorter(reads).static_order()))


def steps_of(jobs: Collection[str]) -> list[Step]:
    """The steps of these jobs, in order: what a run of them makes, and no other step."""
    return [step for step in steps_in_order() if any(step.plan.stage in STAGES_OF[name] for name in jobs)]


def _found_in(module: ModuleType) -> Iterator[Step]:
    definitions = [one for value in vars(module).values() for one in (value if isinstance(value, list) else [value])]
    yield from (STEPS[one] for one in definitions if isinstance(one, dg.AssetsDefinition) and one in STEPS)
