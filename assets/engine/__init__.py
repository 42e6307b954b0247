"""What makes an asset: the plan, Dagster's wrapping of it, locks, versions, checks and errors."""
