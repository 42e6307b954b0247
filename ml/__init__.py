"""Features, baselines, training and evaluation: everything that needs torch."""

import os

# Memory of tensors from 2 MB on in huge pages, where Linux leaves the choice to programs: a fresh batch of floats then
# costs a quarter, as it is not handed out 4 kB at a time. torch reads the variable when it first needs memory.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
