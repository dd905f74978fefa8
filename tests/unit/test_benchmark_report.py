"""What becomes of the benchmarks' figures: tables, drawings, and the document they go into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import document
from tests.benchmarks.batch import figures, plots, tables
from tests.benchmarks.batch.arena import Measured
from tests.benchmarks.batch.contestants import FLOOR, LOOP, NAIVE, ORIGIN, SINGLE, THREAD_EACH, numbers, salvo
from tests.benchmarks.batch.tournament import Race, Results, _from
from tests.benchmarks.report import Table

OURS = salvo(SINGLE, guarded=False, known=False)
RACE = Race(contenders=(FLOOR, LOOP, OURS), sizes=(10, 1_000), rounds=3, latency=5.0)


def measured(codes: int, cpu: float, wall: float = 1.0) -> Measured:
    """`cpu` is of one code."""
    return Measured(codes=codes, cpu=cpu * codes, wall=wall, memory=2_000_000)


RESULTS = Results(
    {
        (FLOOR.name, 1_000): [measured(1_000, cpu) for cpu in (0.002, 0.001, 0.009)],
        (OURS.name, 10): [measured(10, 0.003, wall=5.2)],
        (OURS.name, 1_000): [measured(1_000, 0.001, wall=7.0)],
    }
)


HELD = {1_000: 1_400_000 + 20_000_000, 10_000: 14_000_000 + 30_000_000}
"""Bytes, by the codes at once: the event and the work."""


def row(table: Table, name: str) -> list[str]:
    return next(list(row) for row in table.rows if row[0] == name)


def test_cpu_is_a_median_for_each_code_and_in_units_of_the_two_bare_calls() -> None:
    table = tables.cpu(RACE, RESULTS)

    assert row(table, FLOOR.name)[1:] == ["–", "2.00 (1.00)"]
    assert row(table, OURS.name)[1:] == ["–", "1.00 (0.50)"]


def test_what_would_wait_too_long_for_the_gateway_is_told_by_arithmetic() -> None:
    table = tables.wall(RACE, RESULTS)

    assert row(table, LOOP.name)[1:] == ["–", "(5,000)"]
    assert row(table, OURS.name)[1:] == ["5.20", "7.00"]


def test_a_table_names_who_did_not_send_every_code() -> None:
    note = tables.cpu(RACE, replace(RESULTS, failed={LOOP.name: "it ended"})).note

    assert note.endswith(f"Did not send every code in one of the rounds: {LOOP.name}.")


def test_what_waits_long_is_measured_once_and_what_waits_too_long_never() -> None:
    assert [RACE.times(NAIVE, 1_000, nth) for nth in range(3)] == [1, 0, 0]
    assert [RACE.times(LOOP, 1_000, nth) for nth in range(3)] == [0, 0, 0]
    assert [RACE.times(ORIGIN, 1_000, nth) for nth in range(3)] == [1, 1, 1]


def test_few_codes_are_measured_several_times_in_a_round() -> None:
    race = Race(contenders=(OURS,), sizes=(10, 1_000), rounds=1)

    assert race.times(OURS, 10, 0) == 10
    assert race.times(OURS, 1_000, 0) == 1


def test_a_contender_is_not_asked_for_more_than_it_can() -> None:
    assert Race(contenders=(THREAD_EACH,), sizes=(10_000,), rounds=1).times(THREAD_EACH, 10_000, 0) == 0


def test_each_round_begins_with_another_contender() -> None:
    assert [_from(nth, RACE.contenders)[0] for nth in range(4)] == [FLOOR, LOOP, OURS, FLOOR]
    assert set(_from(1, RACE.contenders)) == set(RACE.contenders)


def test_a_figure_is_reached_missed_or_not_measured() -> None:
    table = figures.table(RESULTS, RESULTS, latency=5.0)

    assert row(table, "10 codes in one invocation, without the guard")[1:] == ["1.05", "1.04", "yes"]
    assert row(table, "1,000 codes in one invocation, without the guard")[1:] == ["1.3", "1.40", "no"]
    by_eight, in_a_row = "a call each, eight at a time", "a call each, one after the other"
    assert row(table, f"CPU of new numbers, {by_eight}, without the guard")[1:] == ["0.6", "0.50", "yes"]
    assert row(table, f"CPU of new numbers, {in_a_row}, without the guard")[1:] == ["0.6", "–", "not measured"]
    assert row(table, "CPU at 10,000, with the guard")[1:] == ["1.1", "–", "not measured"]


def test_of_the_memory_that_a_batch_takes_the_event_is_no_part() -> None:
    memory = {(OURS.name, codes): [replace(measured(codes, 1), memory=held)] for codes, held in HELD.items()}

    table = figures.table(Results(memory), Results(), latency=5.0)

    assert row(table, "memory at 10,000, without the guard")[1:] == ["2", "1.50", "yes"]


def test_no_two_numbers_of_a_batch_are_the_same() -> None:
    assert len(set(numbers(10_000))) == 10_000


def test_the_same_figures_are_the_same_drawing(tmp_path: Path) -> None:
    plots.cpu(RACE, RESULTS, tmp_path / "one.svg")
    plots.cpu(RACE, RESULTS, tmp_path / "other.svg")

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


@pytest.mark.parametrize("draw", [plots.memory, plots.wall])
def test_what_was_not_measured_hinders_no_drawing(draw: plots.Drawing, tmp_path: Path) -> None:
    draw(RACE, RESULTS, tmp_path / "drawing.svg")

    assert ET.parse(tmp_path / "drawing.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own


def test_a_part_of_the_document_is_written_anew_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text("a\n<!-- x -->\nold\n<!-- end of x -->\nb\n<!-- y -->\n<!-- end of y -->\n", encoding="utf-8")

    document.write(file, "x", r"new \1")
    document.write(file, "y", "first")

    written = file.read_text(encoding="utf-8")
    assert written == "a\n<!-- x -->\n\nnew \\1\n\n<!-- end of x -->\nb\n<!-- y -->\n\nfirst\n\n<!-- end of y -->\n"


def test_a_document_without_the_part_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text("mine\n", encoding="utf-8")

    with pytest.raises(document.PartMissing, match="has no lines <!-- x -->"):
        document.write(file, "x", "new")

    assert file.read_text(encoding="utf-8") == "mine\n"
