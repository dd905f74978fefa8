"""Statements of PartiQL for items of ours.

Values stand in the statement itself where they are numbers, or texts of characters that mean nothing to PartiQL: for
each that goes as a parameter the SDK walks through its own tables, and an item of 25 would take more CPU than all else
that is done for its code. Any other text, such as a caller may have worded, is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Value: TypeAlias = Mapping[str, Any]
"""In DynamoDB's own form, such as {"N": "1"}."""

_is_plain = re.compile(r"[A-Za-z0-9 _#.:+/=!-]*").fullmatch
_is_number = re.compile(r"-?[0-9]+").fullmatch


def insertion(table: str, item: Mapping[str, Value]) -> dict[str, Any]:
    """Refused where an item with this key is there."""
    parameters: list[Value] = []
    fields = ",".join([f"'{name}':{_literal(value) or _handed(value, parameters)}" for name, value in item.items()])
    return _statement(f'INSERT INTO "{table}" VALUE {{{fields}}}', parameters)


def replacement(table: str, item: Mapping[str, Value], *, unchanged: str, before: Value) -> dict[str, Any]:
    """Refused unless the attribute `unchanged` of the item that is there is as it was before."""
    parameters: list[Value] = []
    changed = [(name, value) for name, value in item.items() if name != "pk"]
    sets = " ".join([f'SET "{name}"={_literal(value) or _handed(value, parameters)}' for name, value in changed])
    key = _literal(item["pk"]) or _handed(item["pk"], parameters)
    same = _literal(before) or _handed(before, parameters)
    return _statement(f'UPDATE "{table}" {sets} WHERE "pk"={key} AND "{unchanged}"={same}', parameters)


def _statement(text: str, parameters: list[Value]) -> dict[str, Any]:
    return {"Statement": text, "Parameters": parameters} if parameters else {"Statement": text}


def _handed(value: Value, parameters: list[Value]) -> str:
    parameters.append(value)
    return "?"


def _literal(value: Value) -> str | None:
    """None for what has to be a parameter, or has something in it that would have to. Never empty."""
    for kind, content in value.items():
        make = _LITERALS.get(kind)
        return None if make is None else make(content)
    return None


def _text(content: str) -> str | None:
    return f"'{content}'" if _is_plain(content) else None


def _number(content: str) -> str | None:
    return content if _is_number(content) else None


def _texts(content: Sequence[str]) -> str | None:
    parts = [_text(each) for each in content]
    return None if None in parts else f"<<{','.join(map(str, parts))}>>"


def _list(content: Sequence[Value]) -> str | None:
    parts = [_literal(each) for each in content]
    return None if None in parts else f"[{','.join(map(str, parts))}]"


def _map(content: Mapping[str, Value]) -> str | None:
    fields: list[str] = []
    for name, value in content.items():
        literal = _literal(value) if _is_plain(name) else None
        if literal is None:
            return None
        fields.append(f"'{name}':{literal}")
    return f"{{{','.join(fields)}}}"


_LITERALS: Mapping[str, Callable[[Any], str | None]] = {
    "S": _text,
    "N": _number,
    "SS": _texts,
    "BOOL": lambda content: "true" if content else "false",
    "NULL": lambda _: "NULL",
    "L": _list,
    "M": _map,
}
