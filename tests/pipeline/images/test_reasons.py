"""The declared reasons are those that the code gives, no more and no fewer."""

import ast

import pytest

from assets.engine.project import ROOT
from pipeline.images.reasons import REASONS, is_declared
from pipeline.images.verify import OTHER_CONTENT

RAISED = ("Refusal", "Trouble", "Rejected", "Forbidden")


def given() -> set[str]:
    """Every text that is a reason by where it stands, in `pipeline/images` and where connections fail."""
    texts: set[str] = set(OTHER_CONTENT)
    for file in (*sorted((ROOT / "pipeline" / "images").rglob("*.py")), ROOT / "pipeline/connections/failures.py"):
        if file.name == "reasons.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED and node.args:
                texts |= {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)}
            if isinstance(node, ast.FunctionDef) and node.name in ("_what_else", "kind_of"):
                returned = [each for each in ast.walk(node) if isinstance(each, ast.Return)]
                texts |= {
                    c.value
                    for each in returned
                    for c in ast.walk(each)
                    if isinstance(c, ast.Constant) and isinstance(c.value, str)
                }
    return texts


def test_every_reason_that_is_given_is_declared():
    texts = {text for text in given() if not text.startswith(("http_", "opt_out_"))}
    assert {text for text in texts if not is_declared(text)} == set()


def test_every_declared_reason_is_given():
    assigned = {"taken_down", "host_unreachable", "too_much_memory", "opt_out_robots", "opt_out_tdm"}
    assert set(REASONS) - given() - assigned == set()


@pytest.mark.parametrize(
    ("reason", "declared"), [("http_404", True), ("http_999", True), ("http_20", False), ("?", False)]
)
def test_a_status_is_a_reason(reason: str, declared: bool):
    assert is_declared(reason) == declared
