"""./salvo guard allow, block and unblock: a change of the lists, and with it who made it and why, or neither."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from functions.domain.guard.lists import MOST, Effect, Entry, Kind, Listing, Subject, parse_subject
from functions.domain.phone import parse_phone_number
from functions.stores.dynamodb import Item
from functions.stores.guard_lists import KEY, attribute, from_entry, to_listing
from infra.guard.deployment import Deployment

CHANGES = "l#change#"
"""Each change is an item of its own. Nothing in it is changed, and only time deletes it."""
_KEPT_FOR = 34_560_000
"""Seconds: 400 days."""
_SHOWN_OF_A_NAME = 6
_CLEARED_AT_ONCE = 50
"""Entries whose time is over, with one change: DynamoDB takes expressions of up to 4 kB."""


class NotChanged(Exception):
    """Nothing was. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    subject: Subject
    effect: Effect | None
    """None takes its entry off the list."""
    why: str
    who: str
    at: int
    until: int | None = None
    label: str = ""

    @property
    def told(self) -> str:
        did = {Effect.ALLOW: "allowed", Effect.BLOCK: "blocked", None: "taken off the list"}[self.effect]
        end = "" if self.until is None else f" until {as_time(self.until)}"
        return f"{as_time(self.at)}: {shown(self.subject, self.label)} {did}{end}: {self.why} ({self.who})"


async def change(deployment: Deployment, text: str, effect: Effect | None, *, why: str, seconds: int | None) -> Change:
    """Raises InvalidRequest and InvalidPhoneNumber for what can't be listed, NotChanged, and AWS's errors."""
    subject = parse_subject(text, deployment.pseudonym)
    made = Change(
        subject=subject,
        effect=effect,
        why=why,
        who=await _who(deployment),
        at=deployment.now,
        until=None if seconds is None else deployment.now + seconds,
        label=str(parse_phone_number(text)) if subject.kind is Kind.NUMBER else "",
    )
    listing = to_listing(await deployment.get(KEY))
    await _write(deployment, made, listing)
    return made


def shown(subject: Subject, label: str) -> str:
    """A number as its label and the beginning of its pseudonym: other numbers may have the same label."""
    return f"{label} {subject.name[:_SHOWN_OF_A_NAME]}" if subject.kind is Kind.NUMBER else subject.shown


def as_time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def changes_in(items: list[Item]) -> list[str]:
    """What the items of changes say, the newest first."""
    return [item["told"]["S"] for item in sorted(items, key=lambda item: int(item["at"]["N"]), reverse=True)]


async def _write(deployment: Deployment, made: Change, listing: Listing) -> None:
    """One transaction: no change without its reason, and no reason without its change."""
    over = [subject for subject, entry in listing.items() if not entry.holds(made.at) and subject != made.subject]
    over = over[:_CLEARED_AT_ONCE]
    if made.effect is None and made.subject not in listing:
        raise NotChanged("it is on no list")
    if made.subject not in listing and len(listing) - len(over) >= MOST:
        raise NotChanged(f"there are {MOST} entries, and that is all the lists hold: take some off, or list a block")
    update = _update(made, over)
    try:
        await deployment.dynamodb.transact_write_items(
            TransactItems=[
                {"Update": {"TableName": deployment.table, "Key": {"pk": {"S": KEY}}, **update}},
                {"Put": {"TableName": deployment.table, "Item": _item(made)}},
            ]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        raise NotChanged("somebody else changes the lists at the moment: try again") from None


def _update(made: Change, over: list[Subject]) -> dict[str, Any]:
    """Entries whose time is over go with it."""
    names = {f"#over{n}": attribute(subject) for n, subject in enumerate(over)} | {"#entry": attribute(made.subject)}
    if made.effect is None:
        return {"UpdateExpression": f"REMOVE {', '.join(names)}", "ExpressionAttributeNames": names}
    entry = Entry(effect=made.effect, why=made.why, who=made.who, at=made.at, until=made.until, label=made.label)
    removed = f" REMOVE {', '.join(f'#over{n}' for n, _ in enumerate(over))}" if over else ""
    return {
        "UpdateExpression": f"SET #entry = :entry{removed}",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {":entry": from_entry(entry)},
    }


def _item(made: Change) -> Item:
    return {
        # Two changes within a second are two.
        "pk": {"S": f"{CHANGES}{made.at}#{secrets.token_hex(4)}#{attribute(made.subject)}"},
        "at": {"N": str(made.at)},
        "told": {"S": made.told},
        "ttl": {"N": str(made.at + _KEPT_FOR)},
    }


async def _who(deployment: Deployment) -> str:
    async with deployment.aws.client("sts") as sts:
        arn: str = (await sts.get_caller_identity())["Arn"]
    return arn
