"""The guard, wired together: which checks there are, in the order of the rules."""

from __future__ import annotations

import secrets

from functions.handlers.hooks import Hooks
from functions.runtime import wall_clock
from functions.service_file import Configuration
from functions.stores.dynamodb import Table
from functions.stores.guard_budget import DynamoAccounts
from functions.stores.guard_conversion import DynamoConversions
from functions.stores.guard_counters import DynamoCounters
from functions.stores.guard_counters_together import CountersTogether
from functions.stores.guard_decisions import DynamoDecisions
from functions.stores.guard_everywhere import DynamoCodesToNumbers
from functions.stores.guard_lists import DynamoLists
from functions.stores.guard_spraying import DynamoGuesses
from functions.stores.reads_together import Lately, ReadsTogether
from functions.telemetry import journal
from functions.usecases.guard import Guard
from functions.usecases.guard_ports import Check
from functions.usecases.guards.addresses import Addresses
from functions.usecases.guards.blocks import Blocks
from functions.usecases.guards.challenge import AlwaysChallenge
from functions.usecases.guards.conversion import Conversion
from functions.usecases.guards.counting import Counting
from functions.usecases.guards.countries import Countries
from functions.usecases.guards.destination import Destination
from functions.usecases.guards.everywhere import Everywhere
from functions.usecases.guards.listed import Listed
from functions.usecases.guards.refused_lately import RefusedLately
from functions.usecases.guards.risk import Risk
from functions.usecases.guards.spending import Spending
from functions.usecases.guards.spraying import Spraying


def build_guard(table: Table, configuration: Configuration, hooks: Hooks) -> Guard:
    lately = Lately(wall_clock)
    return Guard(
        checks=[
            Listed(DynamoLists(table)),
            Destination(),
            Spraying(
                DynamoGuesses(table, secrets.token_bytes), alone=len(configuration.services) == 1, journal=journal
            ),
            *_of_many(table, lately),
            Conversion(DynamoConversions(table, ReadsTogether(table, lately=lately)), journal),
            AlwaysChallenge(),
            Risk(hooks.risk),
            *_of_the_number(table, configuration),
        ],
        challenges=hooks.challenges,
        decisions=DynamoDecisions(table),
        journal=journal,
    )


def _of_many(table: Table, lately: Lately) -> list[Check]:
    """What starts are counted by that have something in common: an end user's address, a block, a country."""
    counters = CountersTogether(DynamoCounters(table, secrets.token_bytes), lately)
    checks = Addresses(Counting(counters)), Blocks(Counting(counters)), Countries(Counting(counters))
    return [RefusedLately(checks), *checks]


def _of_the_number(table: Table, configuration: Configuration) -> list[Check]:
    """What all services count together for it, where there are several, and money."""
    spending = Spending(
        accounts=DynamoAccounts(table),
        price=configuration.spending.price,
        budget=configuration.spending.budget,
        journal=journal,
    )
    several = len(configuration.services) > 1
    return [Everywhere(DynamoCodesToNumbers(table, secrets.token_bytes)), spending] if several else [spending]
