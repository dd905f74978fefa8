"""docs/campaigns.md, held to what it describes."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

import pytest

from functions.service_file import Configuration, parse_configuration
from infra.environments import ROOT
from infra.send.command import add_arguments
from infra.send.estimate import estimate
from infra.send.examination import Examiner
from infra.send.forecast import warnings
from infra.send.numbers import numbers_on_disk
from infra.send.results import COLUMNS as RESULTS
from infra.send.table import COLUMNS, open_table

TEXT = (ROOT / "docs" / "campaigns.md").read_text(encoding="utf-8")


@pytest.fixture
def configuration() -> Configuration:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    return parse_configuration(tomllib.loads(example))


def test_its_file_is_read_as_it_says(tmp_path: Path, configuration: Configuration) -> None:
    (example,) = re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "spring.csv"
    path.write_text(example)
    bad: dict[int, str] = {}

    with numbers_on_disk() as numbers:
        examiner = Examiner(table=open_table(path), configuration=configuration, service="spring", numbers=numbers)
        tally = examiner.examine(lambda line, error: bad.update({line: f"line {line}: {error.reason}"}))

    assert list(bad.values()) == ["line 4: a number of type fixed_line takes no SMS"]
    assert TEXT.count(bad[4]) == 2
    assert tally.messages == {("spring", "DE"): 1, ("spring", "FR"): 1}


def test_with_its_policy_the_guard_stops_no_campaign_to_numbers_in_a_row(
    tmp_path: Path, configuration: Configuration
) -> None:
    path = tmp_path / "spring.csv"
    path.write_text("to\n" + "".join(f"+4915112{n:06d}\n" for n in range(2_000)))

    with numbers_on_disk() as numbers:
        examiner = Examiner(table=open_table(path), configuration=configuration, service="spring", numbers=numbers)
        tally = examiner.examine(lambda *_: None)
        seconds = estimate(tally, configuration, concurrency=5).seconds
        found = warnings(tally, numbers, configuration, seconds=seconds)

    assert tally.total > 1_000
    assert found == []


def test_each_column_is_in_it_and_each_column_of_the_results() -> None:
    rows = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    told = {name.split(".")[0] for row in rows for name in re.findall(r"`([a-z_.A-Z]+)`", row)}

    assert set(COLUMNS) <= told
    assert ",".join(RESULTS) in TEXT


def test_it_names_no_option_that_there_is_not() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    of_send = {option for action in parser._actions for option in action.option_strings}
    of_key = {"--scope", "--secret"}

    assert set(re.findall(r"--[a-z][a-z-]*", TEXT)) <= of_send | of_key
