"""A cold start pays for the providers that the configuration names, and for no other."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from functions.providers.catalog import PROVIDERS
from infra.local.processes import REPOSITORY
from infra.local.trial_routes import write_services
from tests.lambda_events import API, RECEIPTS, SENDER

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "STACK_NAME": "salvo",
    "TABLE_NAME": "records",
    "PROVIDER_SECRETS": "salvo-provider-",
    "KEYS_SECRET": "salvo-keys",
    "CALLERS_SECRET": "salvo-callers",
    "QUEUE_URL": "https://sqs.test/sends",
    "BULK_QUEUE_URL": "https://sqs.test/bulk",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.test/dead",
}
_TELL = "import importlib, json, sys; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"


async def imported_by(function: str, providers: Sequence[str], folder: Path) -> set[str]:
    services = folder / "services.toml"
    write_services(services, {"default": providers})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _TELL, function),
        env={**ENVIRONMENT, "SERVICES_FILE": str(services)},
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return set(json.loads(out))


@pytest.mark.parametrize("function", [API, SENDER, RECEIPTS])
@pytest.mark.parametrize("providers", [["yunpian"], ["twilio", "vonage"], ["aws_sms", "telnyx", "infobip"]])
async def test_only_the_providers_that_are_named_are_imported(
    function: str, providers: list[str], tmp_path: Path
) -> None:
    imported = await imported_by(function, providers, tmp_path)

    assert {name for name in PROVIDERS if f"functions.providers.{name}" in imported} == set(providers)


async def test_what_a_provider_needs_is_not_imported_without_it(tmp_path: Path) -> None:
    assert "jwt" not in await imported_by(API, ["yunpian", "twilio"], tmp_path)
    assert "jwt" in await imported_by(API, ["messagebird"], tmp_path)


@pytest.mark.parametrize("function", [API, SENDER, RECEIPTS])
async def test_what_signs_and_verifies_is_not_imported_before_it_is_needed(function: str, tmp_path: Path) -> None:
    assert "nacl" not in await imported_by(function, ["telnyx"], tmp_path)
