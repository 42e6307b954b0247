"""How old an asset may be before Dagster's page says so, each with its reason; nothing is blocked by it."""

from datetime import timedelta

import dagster as dg

# The weekly refresh makes pages, records, concepts and a release candidate: a day late warns, a week late fails.
WEEKLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=8), fail_window=timedelta(days=15))
# The monthly comparison finds withdrawn records.
MONTHLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=32), fail_window=timedelta(days=63))
# Training and promotion are started by hand, after some months of new records and decisions.
HALF_YEARLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=183), fail_window=timedelta(days=366))
