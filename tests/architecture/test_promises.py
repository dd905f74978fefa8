"""What tests/README.md and docs/security.md promise is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(("page", "fewest"), [("tests/README.md", 100), ("docs/security.md", 30)])
def test_every_test_that_a_promise_names_exists(page: str, fewest: int) -> None:
    named = set(re.findall(r"`(test_\w+)`", (TESTS.parent / page).read_text(encoding="utf-8")))
    there = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert len(named) > fewest
    assert named - there == set()
