"""./salvo deploy --rollback: points each function's alias back at the code before.

Parameters stay as the older version had them, templates and data as they are. A deployment that changes the code, or a
parameter that functions see, moves the aliases forward again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.aws import Aws
from infra.deployed import ALIAS, FUNCTIONS, find
from infra.environments import say


class NoWayBack(Exception):
    """Nothing was changed. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    function: str
    """Its name in the template."""
    name: str
    """Its name on AWS."""
    now: str
    """The version's number."""
    then: str
    made: str
    """When the older version was made."""

    def __str__(self) -> str:
        return f"{self.function}: from version {self.now} to version {self.then}, made {self.made}"


async def roll_back(aws: Aws, stack_name: str, *, confirmed: bool, ask: Callable[[str], str] = input) -> list[Move]:
    """All functions or none; where AWS fails half-way, what was moved has been said.

    Raises NotDeployed, NoWayBack, and AWS's errors.
    """
    stack = await find(aws, stack_name)
    async with aws.client("lambda") as functions:
        moves = [await _plan(functions, name, stack.id_of(name)) for name in FUNCTIONS.values()]
        for move in moves:
            say(str(move))
        if not confirmed and not _agreed(ask):
            raise NoWayBack("nothing was changed")
        for move in moves:
            await functions.update_alias(FunctionName=move.name, Name=ALIAS, FunctionVersion=move.then)
            say(f"{move.function}: done")
    say(f"the older code is live. Where that does not help, `./salvo doctor --stack-name {stack_name}` looks further")
    return moves


async def _plan(functions: Any, function: str, name: str) -> Move:
    """Back over versions of the same code, which differ in parameters only. Raises NoWayBack."""
    now = await live_version(functions, name)
    if now is None:
        raise NoWayBack(f"{function} has no alias {ALIAS}: a template without one made it")
    versions = await versions_of(functions, name)
    code = versions[now]["CodeSha256"]
    older = [number for number, version in versions.items() if number < now and version["CodeSha256"] != code]
    if not older:
        raise NoWayBack(f"{function} has no version of other code before version {now}, which is live")
    then = max(older)
    made = versions[then]["LastModified"]
    return Move(function=function, name=name, now=str(now), then=str(then), made=made)


async def live_version(functions: Any, name: str) -> int | None:
    """The version's number that events invoke; None where there is no alias."""
    try:
        return int((await functions.get_alias(FunctionName=name, Name=ALIAS))["FunctionVersion"])
    except functions.exceptions.ResourceNotFoundException:
        return None


async def versions_of(functions: Any, name: str) -> dict[int, Any]:
    """The published versions' configurations by number."""
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    return {
        int(each["Version"]): each async for page in pages for each in page["Versions"] if each["Version"] != "$LATEST"
    }


def _agreed(ask: Callable[[str], str]) -> bool:
    try:
        return ask("Do that? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        say("nobody answers here: --yes does it without a question")
        return False
