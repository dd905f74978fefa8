"""Classes whose objects are put together when a function starts, and kept: use cases, stores, adapters.

For a frozen class `dataclass` writes and compiles six methods, and a cold start pays for them: for all of ours a
seventh of it. Nobody compares, prints or hashes a use case, so these get their `__init__` and slots alone. That nobody
changes one, the type checker sees to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def part(cls: type[T]) -> type[T]:
    return dataclass(slots=True, eq=False, repr=False)(cls)
