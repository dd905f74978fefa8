"""docs/providers.md says of each provider what the code has: entries, route settings, receipts. Its examples work."""

from __future__ import annotations

import importlib
import re
import tomllib

import pytest

from functions.domain.delivery import Outcome
from functions.providers.catalog import PROVIDERS
from functions.service_file import parse_configuration
from infra.environments import ROOT
from infra.provider_secrets import TOLD_IN_A_CONSOLE, WITH_SECRET, entries, kind_of

TEXT = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")


def _table(head: str) -> dict[str, list[str]]:
    """The rows of the table whose head begins like this, by their first cell."""
    table = TEXT.partition(f"\n{head}")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]
    return {name: cells for name, *cells in rows}


def _section(provider: str) -> str:
    return TEXT.partition(f"\n### {provider}\n")[2].partition("\n#")[0]


def _named(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


TABLE = _table("| provider | its secret")


def test_the_table_has_every_provider_in_order() -> None:
    assert list(TABLE) == [f"[`{name}`](#{name})" for name in sorted(PROVIDERS)]


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_the_table_says_what_a_provider_needs(provider: str) -> None:
    secret, route, receipts, *_ = TABLE[f"[`{provider}`](#{provider})"]

    needed = entries(kind_of(provider), required=True) if provider in WITH_SECRET else []
    assert _named(secret) == set(needed)
    assert _named(route) == PROVIDERS[provider].requires
    signed_or_not_at_all = {"by IAM", "none", "only of messages that went alone", "signature"}
    assert ("token" in receipts) == (receipts not in signed_or_not_at_all)
    assert hasattr(importlib.import_module(f"functions.providers.{provider}"), "RECEIPTS") == (
        receipts not in {"by IAM", "none"}
    )


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_a_section_names_every_entry_and_every_setting_of_a_route(provider: str) -> None:
    section, entry = _section(provider), PROVIDERS[provider]

    assert section
    assert entry.requires | entry.takes <= _named(section)
    if provider in WITH_SECRET:
        kind = kind_of(provider)
        assert {*entries(kind, required=True), *entries(kind, required=False)} <= _named(section)


@pytest.mark.parametrize("provider", sorted(TOLD_IN_A_CONSOLE - {"yunpian_multi"}))
def test_an_address_for_a_console_is_told_where_it_comes_from(provider: str) -> None:
    assert f"`./salvo credentials {provider}`" in " ".join(_section(provider).split())


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
def test_an_example_of_routes_is_one(example: str) -> None:
    configuration = parse_configuration(tomllib.loads(example))

    assert configuration.named


@pytest.mark.parametrize("line", re.findall(r"`(\[providers\.\w+\] \w+ = \"[^\"]+\")`", TEXT))
def test_a_providers_setting_is_one(line: str) -> None:
    table, _, setting = line.partition(" ")

    assert parse_configuration(tomllib.loads(f"{table}\n{setting}")).providers


def test_the_table_of_failover_has_every_outcome() -> None:
    assert {name.strip("`") for name in _table("| outcome | such as")} == set(Outcome)
