"""CloudWatch's metric math at one point in time, as far as alarms use it: FILL, SUM, IF, arithmetic, comparisons."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NEVER = None
"""The value of a metric that nobody ever published."""

_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.GtE: operator.ge,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.Lt: operator.lt,
}


@dataclass(frozen=True, slots=True)
class MetricMath:
    """Whether FILL has anything to fill where there never was a value, AWS does not say: so that is a choice."""

    values: Mapping[str, float | None]
    """By id. NEVER is no value now and none at any other time."""
    fills_the_void: bool

    def evaluate(self, expression: str) -> float | None:
        """None where the result has no value at this time."""
        return self._value(ast.parse(expression, mode="eval").body)

    def _value(self, node: ast.expr) -> float | None:
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return self.values[name]
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._combine(type(op), self._value(left), self._value(right))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments)
            case _:
                raise AssertionError(f"this is not known here: {ast.unparse(node)}")

    def _combine(self, op: type, left: float | None, right: float | None) -> float | None:
        return None if left is None or right is None else float(_OPERATORS[op](left, right))

    def _call(self, name: str, arguments: list[ast.expr]) -> float | None:
        match name, arguments:
            case "FILL", [series, filler]:
                found = self._value(series)
                return self._value(filler) if found is None and self.fills_the_void else found
            case "SUM", [ast.List(elts=series)]:
                found_ones = [value for each in series if (value := self._value(each)) is not None]
                return sum(found_ones) if found_ones else None
            case "IF", [condition, then, otherwise]:
                holds = self._value(condition)
                return None if holds is None else self._value(then if holds else otherwise)
            case _:
                raise AssertionError(f"this is not known here: {name} of {len(arguments)}")
