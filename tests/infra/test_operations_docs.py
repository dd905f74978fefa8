"""What the documents name is there: commands with their options, parameters, outputs, alarms, runbooks, log lines."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.stores.circuits import DynamoCircuits
from functions.stores.dynamodb import Table
from infra.command import COMMANDS
from infra.environments import ROOT
from infra.local.embedded_aws import Resources
from infra.template import read
from tests.harness import ManualClock, RecordingJournal

OPERATIONS = ROOT / "docs" / "operations.md"
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
TEXT = OPERATIONS.read_text(encoding="utf-8")
TEMPLATE = read()
MONITORING = read(ROOT / "infra" / "monitoring.yaml")
ALARMS: dict[str, dict[str, Any]] = {
    name: resource["Properties"]
    for name, resource in MONITORING["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Every ./salvo command that a document has in a line of a block or between backticks, with its document's name."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for found in re.findall(r"^ *\./salvo .*$|`\./salvo [^`]+`", text, re.MULTILINE):
            yield document.name, shlex.split(found.strip(" `"), comments=True)[1:]


NAMED = sorted({(document, *words) for document, words in _commands()})


@pytest.mark.parametrize("named", NAMED, ids=" ".join)
def test_a_command_that_a_document_names_takes_what_it_is_given_there(named: tuple[str, ...]) -> None:
    _, name, *arguments = named

    assert name in COMMANDS
    if arguments and name != "test":
        _parse(name, arguments)


def test_an_option_that_there_is_not_would_be_noticed() -> None:
    with pytest.raises(SystemExit):
        _parse("cost", ["--verification-count", "5"])


def test_the_table_of_parameters_has_those_of_the_template_with_their_defaults() -> None:
    rows = {name: default for name, default, _ in _rows("| parameter |")}

    assert list(rows) == [f"`{name}`" for name in TEMPLATE["Parameters"]]
    for name, parameter in TEMPLATE["Parameters"].items():
        assert str(parameter["Default"]) in rows[f"`{name}`"]


def test_each_alarm_is_in_the_table_with_its_own_runbook() -> None:
    linked = {name.strip("`"): link for name, _, _, link in _rows("| alarm |")}

    assert linked.keys() == ALARMS.keys()
    for name, alarm in ALARMS.items():
        assert linked[name] == f"[runbook](#{_runbook_of(alarm)})"


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_sends_whoever_it_wakes_to_a_runbook_that_exists(name: str) -> None:
    assert _runbook_of(ALARMS[name]) in _anchors(OPERATIONS)


@pytest.mark.parametrize("title", re.findall(r"^### Runbook: (.+)$", TEXT, re.MULTILINE))
def test_a_runbook_says_what_to_do_when_it_is_over_and_what_not_to_do(title: str) -> None:
    runbook = TEXT.partition(f"### Runbook: {title}\n")[2].partition("\n##")[0]

    assert "**Do.**" in runbook or "1. **" in runbook
    assert "**Over when**" in runbook
    assert "**Don't**" in runbook or "Not for" in runbook


def test_the_thresholds_that_are_told_are_those_of_the_alarms() -> None:
    default = {name: parameter.get("Default") for name, parameter in MONITORING["Parameters"].items()}

    told = {name: meaning for name, meaning, *_ in _rows("| alarm |")}
    assert f"over {default['ErrorPercent']} %" in told["`ErrorsAlarm`"]
    assert f"over {default['ProviderFailurePercent']} %" in told["`ProviderFailuresAlarm`"]
    assert f"over {default['LatencyMilliseconds'] // 1000} s" in told["`LatencyAlarm`"]
    assert f"above {default['ConversionPercent']} %" in TEXT


def test_an_output_that_a_command_reads_is_one_of_the_stacks() -> None:
    asked = set(re.findall(r"\boutput ([A-Z]\w+)", TEXT)) | set(re.findall(r"`(\w+LogGroup)`", TEXT))

    assert asked
    assert asked - TEMPLATE["Outputs"].keys() == set()


def test_a_query_looks_for_lines_that_the_functions_write() -> None:
    written = {
        event
        for path in (ROOT / "functions").rglob("*.py")
        for event in re.findall(r'journal\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    listed = {name for cell, *_ in _rows("| `message` |") for name in re.findall(r"\w+", cell)}
    quoted = re.findall(r'message (?:= ("\w+")|in \[([^\]]+)\])', TEXT)
    asked = {name for one, many in quoted for name in re.findall(r"\w+", one or many)}

    assert asked
    assert asked <= listed <= written


async def test_a_provider_that_is_taken_out_by_hand_is_passed_over_until_it_is_put_back(
    dynamodb: Any, resources: Resources
) -> None:
    item = TEXT.partition("aws dynamodb put-item")[2].partition("--item '")[2].partition("}}'")[0] + "}}"
    clock = ManualClock()
    table = Table(dynamodb, resources.table)
    sandbox = DynamoCircuits(table, clock, RecordingJournal(), secrets.token_bytes)

    until = clock() + 28_800
    await dynamodb.put_item(TableName=resources.table, Item=json.loads(item.replace("'$until'", str(until))))
    clock.advance(1)
    taken_out = await sandbox.admits("twilio")
    await sandbox.note("twilio", failed=False)  # of a message that was on its way there
    clock.advance(1)
    still_out = await sandbox.admits("twilio")
    await dynamodb.delete_item(TableName=resources.table, Key={"pk": {"S": "c#twilio"}})
    clock.advance(1)

    assert (taken_out, still_out, await sandbox.admits("twilio")) == (False, False, True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=[path.name for path in DOCUMENTS])
def test_a_link_to_a_heading_finds_it(document: Path) -> None:
    text = document.read_text(encoding="utf-8")

    for file, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", text):
        target = document.parent / file if file else document
        assert anchor in _anchors(target), f"{file}#{anchor}"


def _parse(name: str, arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"salvo {name}")
    importlib.import_module(COMMANDS[name].module).add_arguments(parser)
    return parser.parse_args(arguments)


def _rows(head: str) -> list[list[str]]:
    """The cells of the table whose head begins like this."""
    table = TEXT.partition(f"\n{head}")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]


def _runbook_of(alarm: dict[str, Any]) -> str:
    return str(alarm["AlarmDescription"]).rpartition(" docs/operations.md#")[2]


def _anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
