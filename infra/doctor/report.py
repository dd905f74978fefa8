"""The findings and the controls, as tables for people or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.doctor.compliance import Control, Verdict
from infra.doctor.finding import Finding, Level

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
_VERDICTS = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.YOURS: "yellow"}


def show(console: Console, findings: Sequence[Finding], services: Mapping[str, Sequence[Control]]) -> None:
    table = _table("what", "", "found", "what to do")
    for each in findings:
        table.add_row(
            escape(each.about), f"[{_COLOURS[each.level]}]{each.level}", escape(each.found), escape(each.advice)
        )
    console.print(table)
    for name, controls in services.items():
        console.print(_controls(name, controls))
    console.print(summary(findings))


def summary(findings: Sequence[Finding]) -> str:
    count = {level: sum(finding.level is level for finding in findings) for level in Level}
    return f"{count[Level.OK]} ok, {count[Level.WARN]} warnings, {count[Level.FAIL]} failures"


def as_json(stack: str, findings: Sequence[Finding], services: Mapping[str, Sequence[Control]]) -> str:
    report = {
        "stack": stack,
        "findings": [asdict(finding) for finding in findings],
        "services": {name: [asdict(control) for control in controls] for name, controls in services.items()},
    }
    return json.dumps(report, indent=2)


def _controls(service: str, controls: Sequence[Control]) -> Table:
    title = f"service {service}, by this checkout's services.toml (what was deployed is what was built then)"
    table = _table("standard", "section", "asks", "", "why", title=title)
    for each in controls:
        verdict = f"[{_VERDICTS[each.verdict]}]{each.verdict}"
        table.add_row(each.standard, each.section, escape(each.asks), verdict, escape(each.why))
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")  # addresses and commands are to be copied whole
    return table
