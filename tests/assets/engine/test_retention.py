"""Old runs leave the event log; the run that last made an asset stays."""

from datetime import timedelta

import dagster as dg

from assets.engine.retention import tidy


@dg.asset
def one() -> None: ...


def test_old_runs_go_and_the_last_word_on_an_asset_stays():
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [dg.materialize([one], instance=instance).run_id for _ in range(3)]
        assert tidy(instance, timedelta(days=1)) == []
        assert sorted(tidy(instance, timedelta(seconds=-1))) == sorted(runs[:2])
        assert [run.run_id for run in instance.get_runs()] == runs[2:]
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
