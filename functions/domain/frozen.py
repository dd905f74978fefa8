"""Values: dataclasses that nobody changes, which the type checker sees to.

A frozen dataclass of the standard library sees to it itself: by methods that each cold start compiles, and by an
`__init__` that takes twice as long, a thirtieth of the CPU of a code in a batch. See also `part`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(**options: Any) -> Callable[[type[T]], type[T]]:
    """Compares and hashes by its fields. Options are those of `dataclass`."""
    return dataclass(slots=True, unsafe_hash=True, **options)
