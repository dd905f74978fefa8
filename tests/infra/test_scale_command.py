"""./salvo scale from outside, and the page that it fills in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from infra.command import main
from infra.environments import ROOT
from infra.scale.check import Compared, Machine, Measured, Scenario
from infra.scale.experiments import well_set
from infra.scale.pages import UnknownBlock, check_block, filled
from infra.scale.plots import draw_ramps, draw_times
from infra.scale.report import duration
from infra.scale.simulation import simulate

PAGE = ROOT / "docs" / "scale.md"


def test_a_campaign_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scale", "--codes", "2000", "--rate", "50", "--concurrency", "3"])

    told = capsys.readouterr().out
    assert code == 0
    assert "2,000 sent, 0 too late, 0 dead letters" in told
    assert "BulkConcurrency 3 would do" in told


def test_a_campaign_is_told_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scale", "--codes", "2000", "--rate", "50", "--rate", "30", "--at-once", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["sent"] + told["stale"] + told["dead"] == 2_000
    assert 2_000 / 72 * 0.9 < told["seconds"] < 2_000 / 72 * 1.5


def test_without_a_rate_no_concurrency_is_recommended(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scale", "--codes", "500", "--rate", "inf"])

    assert code == 0
    assert "BulkConcurrency 5 would do" not in capsys.readouterr().out


def test_latencies_that_cannot_be_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["scale", "--latency", "2", "--latency-p99", "1"])

    said = capsys.readouterr()
    assert code == 1
    assert said.out == ""
    assert said.err.startswith("salvo: --latency-p99")


@pytest.mark.parametrize("option", [["--codes", "0"], ["--rate", "none"], ["--fail", "1.5"], ["--concurrency", "1001"]])
def test_what_is_no_number_of_its_kind_is_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["scale", *option])

    assert refusal.value.code == 2
    assert "must be a" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(9.6, "10 s"), (59.4, "59 s"), (3_599, "59 min 59 s"), (11_119, "3 h 5 min"), (111_600, "1 d 7 h")],
)
def test_durations_are_told_in_their_two_largest_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_block_of_the_page_is_replaced_and_nothing_else() -> None:
    page = "before\n<!-- times -->\nold\n<!-- /times -->\nafter\n"

    assert filled(page, {"times": "new"}) == "before\n<!-- times -->\n\nnew\n<!-- /times -->\nafter\n"


def test_a_block_that_the_page_has_no_place_for_is_an_error() -> None:
    with pytest.raises(UnknownBlock, match="costs"):
        filled("<!-- times -->\n<!-- /times -->\n", {"costs": "new"})


def test_the_page_has_its_blocks_filled_and_its_plots_in_place() -> None:
    page = PAGE.read_text(encoding="utf-8")

    blocks = re.findall(r"<!-- (\w+) -->\n(.+?)<!-- /\1 -->", page, re.DOTALL)
    assert {name for name, _ in blocks} == {"times", "choice", "costs", "logins", "broken", "check"}
    assert all("| --- |" in content for _, content in blocks)
    plots = re.findall(r"\]\((scale/\w+\.svg)\)", page)
    assert len(plots) == 5
    assert all((PAGE.parent / plot).is_file() for plot in plots)


def test_a_plot_drawn_again_is_the_same_file(tmp_path: Path) -> None:
    run = simulate(replace(well_set(100.0), codes=500))
    first, second = tmp_path / "first.svg", tmp_path / "second.svg"

    for file in (first, second):
        draw_times({(500, 100.0): run, (500, 200.0): run}, file)

    assert first.read_bytes() == second.read_bytes()
    assert b"<dc:date>" not in first.read_bytes()


def test_a_plot_of_a_campaign_names_what_it_shows(tmp_path: Path) -> None:
    run = simulate(replace(well_set(100.0), codes=500))

    draw_ramps([("a hundred a second", run)], tmp_path / "ramp.svg")

    assert "a hundred a second" in (tmp_path / "ramp.svg").read_text(encoding="utf-8")


def test_the_error_of_the_simulation_is_told_with_its_sign() -> None:
    scenario = Scenario(name="steady", codes=100, concurrency=1, rate=100.0)
    machine = Machine(seconds_a_code=0.002, codes_a_second=400.0)
    simulated = simulate(scenario.fleet(machine))
    real = Measured(seconds=simulated.seconds * 2, busy=1.0, peak=1, invocations=1, came_back=0)

    block = check_block(machine, [Compared(scenario=scenario, real=real, simulated=simulated)])

    assert "| steady | 100 | 1 |" in block
    assert "| -50% | 1 · 1 | 0 · 0 |" in block
    assert "2.0 ms for a code" in block
