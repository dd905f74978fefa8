"""SEC-11: there is no number and no code that is let through, for tests or for anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from functions.domain.phone import parse_phone_number
from functions.service_file import ServiceFileError, load_configuration
from functions.usecases.check import CheckCommand
from functions.usecases.start import StartCommand
from tests.harness import UNLIMITED, Harness, reveal

RESERVED = ["+12025550123", "+61491570006", "+33199001234", "+15005550006", "+358457000123"]
"""For films and tests: kept free by the US, Australia, France and Finland, and Twilio's own."""
MAGIC = ["000000", "111111", "123456", "654321", "012345", "999999", "424242", "696969", "121212", "112233"]
"""What hosted services take for test numbers, and what people choose."""


@pytest.mark.parametrize("number", RESERVED)
async def test_a_reserved_number_gets_an_sms_and_no_code_but_its_own_is_right(harness: Harness, number: str) -> None:
    harness.change_service(**UNLIMITED, failures_per_day=100)
    harness.checks.clear()
    to = parse_phone_number(number)

    for code in MAGIC:
        started = await harness.start(StartCommand(to=to, service="default", caller="test"))
        if code == harness.provider.code_for(to):
            continue
        checked = await harness.check(CheckCommand(id=started.id, code=reveal(code), caller="test"))
        assert not checked.valid

    assert len(harness.provider.sent_to(to)) == len(MAGIC)


@pytest.mark.parametrize("setting", ["test_numbers", "test_code", "magic_code", "test_otp", "allow_test_codes"])
def test_no_setting_makes_one(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "services.toml"
    file.write_text(f'[shop]\n{setting} = "123456"\n')

    with pytest.raises(ServiceFileError):
        load_configuration(file)


def test_the_functions_know_no_stage() -> None:
    """A switch for tests would be one line from being on in production."""
    sources = [path.read_text() for path in Path("functions").rglob("*.py")]

    assert sources
    assert not [word for word in ("STAGE", "is_production", "test_code", "magic") if any(word in s for s in sources)]
