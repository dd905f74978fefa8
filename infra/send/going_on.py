"""A campaign that was begun before: whether it may go on with this file, target and key, or is put away."""

from __future__ import annotations

import argparse
from pathlib import Path

from functions.runtime import wall_clock
from infra.environments import say
from infra.send.campaign import REPEATABLE
from infra.send.examination import fingerprint
from infra.send.key import name_of, read_key
from infra.send.ledger import Begun, Ledger, State, folder_of
from infra.send.problems import Unusable
from infra.send.results import set_aside
from infra.send.target import Target


def go_on(arguments: argparse.Namespace, campaign: Begun, ledger: Ledger, target: Target) -> tuple[Begun, str]:
    """The same campaign, and the API key. Raises Unusable, and OSError."""
    _check(arguments, campaign, target)
    key = target.key or read_key(arguments.key_file)
    if not arguments.same_caller:
        _check_key(ledger, name_of(key))
    say(f"going on with campaign {campaign.name}: {ledger.counts().total:,} of {campaign.messages:,} are done")
    return campaign, key


def put_away(path: Path, campaign: Begun, ledger: Ledger) -> None:
    """Its results get its name, and the ledger forgets it."""
    set_aside(path, campaign.name)
    ledger.forget()


def _check(arguments: argparse.Namespace, campaign: Begun, target: Target) -> None:
    path = arguments.file
    if arguments.again:
        raise Unusable(f"campaign {campaign.name} is not over: leave --again out, and it goes on")
    if fingerprint(path) != campaign.file:
        raise Unusable(
            f"{path} has changed since campaign {campaign.name} began: put it back as it was, and go on; or give the"
            f" campaign up, which forgets who was sent what: rm -r {folder_of(path)}"
        )
    if target.url != campaign.target:
        raise Unusable(f"campaign {campaign.name} began by {campaign.target}, and this is {target.url}")
    if arguments.service not in {None, campaign.service}:
        raise Unusable(f"campaign {campaign.name} began with --service {campaign.service}")


def _check_key(ledger: Ledger, name: str) -> None:
    """A batch that may have been taken is the same batch for the same caller only."""
    for chunk in ledger.unfinished():
        is_open = chunk.state == State.POSTING and chunk.items and wall_clock() - chunk.posted_at <= REPEATABLE
        if is_open and chunk.sent_by != name:
            raise Unusable(
                f"lines {chunk.first_line} to {chunk.next_line - 1} were handed over with the key {chunk.sent_by}, and"
                " nobody knows whether they were taken: go on with that key, or say --same-caller if this one is of"
                " the same caller"
            )
