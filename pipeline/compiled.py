"""Numba decorators: `compiled` for functions that Python calls, `inner` for those that only compiled code calls."""

from typing import Any

from numba import njit

# Called by compiled code alone: without their wrappers for Python, functions compile in half the time.
BARE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
inner = njit(**BARE)
compiled = njit(nogil=True, cache=True, error_model="numpy")
