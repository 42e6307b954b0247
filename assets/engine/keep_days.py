"""How long runs are kept in the event log: for the command `tidy`, whose help needs no Dagster, and the job `tidy`."""

KEEP_DAYS = 180  # when nobody says otherwise: half a year, six of the monthly comparisons
MOST_DAYS = 3_650  # ten years; a number of days that reaches back before the year 1 cannot be subtracted from today
