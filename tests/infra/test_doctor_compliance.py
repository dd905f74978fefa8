"""The controls: what a service's settings make of them, and what holds those that no setting changes."""

from __future__ import annotations

from functools import cache

import pytest

from functions.domain.service import Service
from functions.service_file import load_configuration
from functions.settings import SHIPPED_SERVICES
from infra.doctor.compliance import Control, Verdict, controls
from infra.environments import ROOT


def test_the_shipped_services_fail_no_control() -> None:
    for service in load_configuration(SHIPPED_SERVICES).services.values():
        assert _failed(service) == []


@pytest.mark.parametrize(
    ("service", "failed"),
    [
        (Service(code_length=5), ["NIST 63B-4 3.1.3.2", "ASVS 5.0 6.5.4"]),
        (Service(lifetime=601), ["NIST 63B-4 3.1.3.2", "ASVS 5.0 6.5.5"]),
        (Service(failures_in_a_row=101), ["NIST 63B-4 3.2.2"]),
        (Service(code_length=6, lifetime=600, failures_in_a_row=100), []),
    ],
)
def test_a_setting_beyond_a_controls_bound_fails_it(service: Service, failed: list[str]) -> None:
    assert _failed(service) == failed


def test_the_figures_told_are_the_services_own() -> None:
    told = " ".join(control.why for control in controls(Service(code_length=8, lifetime=120, max_attempts=3)))

    assert "8 digits are 26.58 bits" in told
    assert "lifetime = 120 s" in told
    assert "3 attempts a verification" in told


def test_what_only_the_operator_can_know_is_neither_passed_nor_failed() -> None:
    yours = [control.section for control in controls(Service()) if control.verdict is Verdict.YOURS]

    assert yours == ["3.1.3.2", "3.1.3.3, 3.2.9", "6.6.1"]


@pytest.mark.parametrize(
    "control", [each for each in controls(Service()) if each.held_by], ids=lambda each: each.section
)
def test_what_the_code_holds_is_held_by_a_test_that_is_there(control: Control) -> None:
    assert f"def {control.held_by}(" in _tests()


def test_every_pass_depends_on_a_setting_or_is_held_by_a_test() -> None:
    strict = Service(code_length=1, lifetime=9999, failures_in_a_row=9999)
    passed_anyway = [control for control in controls(strict) if control.verdict is Verdict.PASS]

    assert [control for control in passed_anyway if not control.held_by] == []


def _failed(service: Service) -> list[str]:
    found = [control for control in controls(service) if control.verdict is Verdict.FAIL]
    return [f"{control.standard} {control.section}" for control in found]


@cache
def _tests() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
