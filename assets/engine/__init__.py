"""How assets are made: plans, their Dagster assets, the project, locks, code versions, checks and messages."""
