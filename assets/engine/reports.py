"""What a step reports to Dagster of the tables that it wrote, also of those that the run did not select."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.execution.plan.execute_step import _build_data_version_tags, _get_input_provenance_data

Reported = dg.MaterializeResult | dg.AssetMaterialization | dg.AssetCheckResult | dg.AssetCheckEvaluation


def reported(context: dg.AssetExecutionContext, result: dg.MaterializeResult, version: str) -> Iterator[Reported]:
    """The result of one table in the form that Dagster takes from this run.

    A step writes all of its tables at once. A run that selects some of them reports the others too, with the code
    version and the data versions of their inputs, or Dagster's page would show their old bytes. A run that selects
    checks alone reports these.
    """
    if result.asset_key in context.selected_asset_keys:
        yield result
    elif context.selected_asset_keys:
        yield from _of_unselected(context, result, version)
    else:
        asked = context.selected_asset_check_keys
        yield from (one for one in result.check_results or () if _key_of(one) in asked)


def _of_unselected(context: dg.AssetExecutionContext, result: dg.MaterializeResult, version: str) -> Iterator[Reported]:
    step = context.get_step_execution_context()
    one_selected = next(iter(context.selected_asset_keys))  # all tables of a step have the same inputs
    assert result.asset_key is not None
    assert result.data_version is not None
    inputs = _get_input_provenance_data(one_selected, step)
    tags = _build_data_version_tags(result.data_version, version, inputs, data_version_is_user_provided=True)
    partitions = context.partition_keys if context.assets_def.partitions_def else [None]
    for partition in partitions:
        yield dg.AssetMaterialization(result.asset_key, metadata=result.metadata, partition=partition, tags=tags)
    for check in result.check_results or ():
        yield check.to_asset_check_evaluation(step)


def _key_of(check: dg.AssetCheckResult) -> dg.AssetCheckKey:
    assert check.asset_key is not None
    assert check.check_name is not None
    return dg.AssetCheckKey(check.asset_key, check.check_name)
