"""What the dataset is: plain Python on tables and bytes, without torch and without dagster."""

# The four facets, in the order of the paper's table 1; the paper also calls `classifications` "Disciplines".
FACETS = ("object_types", "materials", "classifications", "subjects")

# What a record's image may be used for; `left_out` are images whose group touches two splits (protocol, section 4).
SPLITS = ("train", "validation", "inner_test", "outer_test", "left_out")
