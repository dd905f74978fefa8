"""What ./salvo send finds in a file before it sends: bad lines, cost, time, what the guard stops; in what memory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from functions.service_file import Configuration, load_configuration
from infra.environments import ROOT
from infra.send.estimate import Estimate, estimate
from infra.send.examination import Examiner
from infra.send.forecast import warnings
from infra.send.numbers import numbers_on_disk
from infra.send.problems import BadLine
from infra.send.table import open_table
from infra.send.tally import Tally

SERVICES = """
[shop]
brand = "Acme"
[[shop.routes]]
countries = ["DE", "FR"]
providers = [ { name = "twilio", sender = "ACME", weight = 3 }, { name = "yunpian", weight = 1 } ]
[shop.guard]
countries = ["DE", "CN"]
budget = 1.0
[campaign]
domain = "a-very-long-name-that-nobody-types-in.shop.example"
app_hash = "FA+9qCX9VSu"
[campaign.guard]
home = ["DE"]
unconverted_country = 3
[careful.guard]
challenge = true
[open.guard]
enabled = false
[spending]
currency = "EUR"
prices = { DE = 0.075, "*" = 0.12 }
[providers.twilio]
rate = 10
"""
CENT = 10_000
"""Millionths."""


@dataclass
class Examined:
    bad: dict[int, tuple[str, str]]
    tally: Tally
    estimate: Estimate | None
    warnings: list[str]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    (tmp_path / "services.toml").write_text(SERVICES)
    return load_configuration(tmp_path / "services.toml")


def examine(folder: Path, configuration: Configuration, content: str, service: str = "open", **rate: float) -> Examined:
    path = folder / "phones.csv"
    path.write_text(content)
    bad: dict[int, tuple[str, str]] = {}

    def found_bad(line: int, error: BadLine) -> None:
        bad[line] = (error.code, error.reason)

    with numbers_on_disk() as numbers:
        tally = Examiner(table=open_table(path), configuration=configuration, service=service, numbers=numbers).examine(
            found_bad
        )
        if not tally.total:
            return Examined(bad, tally, None, [])
        found = estimate(tally, configuration, concurrency=5, **rate)
        return Examined(bad, tally, found, warnings(tally, numbers, configuration, seconds=found.seconds))


def numbers(count: int, *, apart: int = 61_803_399) -> str:
    return "to\n" + "".join(f"+49151{n * apart % 100_000_000:08d}\n" for n in range(count))


def test_every_bad_line_is_told_with_its_code(tmp_path: Path, configuration: Configuration) -> None:
    lines = (
        "to,service,locale,domain,app_hash,metadata.a",
        "+4915112345678,,,,,",
        "0151 12345678,,,,,",
        "+4930123456,shop,,,,",
        "+33612345678,shop,,,,",
        "+8613912345678,shop,,,,",
        "+4915112345678,nobody,,,,",
        "+4915112345678,careful,,,,",
        "+4915112345671,,!,,,",
        "+4915112345672,,,http://a.example,,",
        "+4915112345673,,,,short,",
        f"+4915112345674,,,,,{'x' * 200}",
        ",,,,,a",
    )

    found = examine(tmp_path, configuration, "\n".join(lines))

    assert {line: code for line, (code, _) in found.bad.items()} == {
        3: "invalid_number",
        4: "number_type_blocked",
        5: "country_blocked",
        6: "country_blocked",
        7: "invalid_request",
        8: "challenge_required",
        **dict.fromkeys((9, 10, 11, 12), "invalid_request"),
        13: "invalid_number",
    }
    assert found.bad[7][1] == "there is no service nobody"
    assert (found.tally.total, found.tally.bad) == (1, 11)


def test_a_number_that_is_there_twice_for_a_service_is_told_with_the_line_of_the_first(
    tmp_path: Path, configuration: Configuration
) -> None:
    content = "to,service\n+4915112345678,\n+4915112345678,campaign\n+4915112345678,open\n"

    found = examine(tmp_path, configuration, content)

    assert found.bad == {4: ("duplicate", "the same number as line 2")}


def test_messages_and_sms_are_priced_by_country(tmp_path: Path, configuration: Configuration) -> None:
    content = "to,service,locale\n+4915112345678,open,\n+4915112345679,campaign,ru\n+33612345678,open,\n"

    found = examine(tmp_path, configuration, content).estimate

    assert found is not None
    assert [(row.service, row.region, row.messages, row.segments, row.cost) for row in found.rows] == [
        ("campaign", "DE", 1, 2, 15 * CENT),
        ("open", "DE", 1, 1, 7.5 * CENT),
        ("open", "FR", 1, 1, 12 * CENT),
    ]
    assert (found.cost, found.currency, found.unpriced) == (34.5 * CENT, "EUR", [])
    assert 0 < found.aws_usd < 0.01


def test_the_slowest_account_says_how_long_it_takes(tmp_path: Path, configuration: Configuration) -> None:
    found = examine(tmp_path, configuration, numbers(120), "shop").estimate

    assert found is not None
    assert found.seconds == pytest.approx(120 * 0.75 / (0.9 * 10))
    assert found.reasons[0] == "0.9 of twilio's rate of 10 a second"
    assert "5 bulk senders with 100 messages each, 2 s at a time (assumed)" in found.reasons


def test_the_operators_own_rate_counts_where_it_is_slower(tmp_path: Path, configuration: Configuration) -> None:
    found = examine(tmp_path, configuration, numbers(100), most=2).estimate

    assert found is not None
    assert (found.seconds, found.rate, found.reasons[0]) == (50, 2, "--rate 2")


def test_what_the_guard_would_stop_is_told_before(tmp_path: Path, configuration: Configuration) -> None:
    in_a_row = examine(tmp_path, configuration, numbers(70, apart=100), "campaign")
    abroad = examine(
        tmp_path, configuration, "to\n" + "".join(f"+336{n * 1_000_003:08d}\n" for n in range(5)), "campaign"
    )
    spread = examine(tmp_path, configuration, numbers(10), "campaign")

    assert in_a_row.warnings == ["campaign.guard.unconverted_10k = 50 (an hour): up to 20 of them would be refused"]
    assert abroad.warnings == ["campaign.guard.unconverted_country = 3 (an hour): up to 2 of them would be refused"]
    assert spread.warnings == []


def test_a_budget_that_does_not_reach_is_told_before(tmp_path: Path, configuration: Configuration) -> None:
    found = examine(tmp_path, configuration, numbers(14), "shop")

    assert found.warnings == [
        "shop.guard.budget = 1.00 EUR a day: they cost 1.05, and what is above the budget would be refused"
    ]


def test_a_file_twenty_times_as_long_takes_hardly_more_memory(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        """Kilobytes of the whole command, which stops where it would ask whether to send."""
        path = tmp_path / f"{count}.csv"
        path.write_text(numbers(count))
        measured = (
            "import resource, subprocess, sys;"
            "subprocess.run([sys.executable, '-m', 'infra.command', 'send', sys.argv[1], '--local', '--port', '1'],"
            " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", measured, path], capture_output=True, text=True, check=True, cwd=ROOT
        )
        return int(done.stdout)

    few, many = peak(2_000), peak(40_000)

    assert many < few + 12 * 1024
