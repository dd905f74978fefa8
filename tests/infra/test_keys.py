"""./salvo key: the key is shown once, its digest is stored, and what went wrong is told with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from functions.domain.caller import Caller, Scope
from functions.stores.callers import SecretCallers
from functions.stores.secrets_manager import CachedSecret
from functions.web.authentication import digest_key
from infra.environments import ROOT
from infra.keys import KeyRefused, without_key
from infra.local.embedded_aws import EmbeddedAws, aws_client, aws_environment
from tests.harness import ManualClock

_BROKEN = "salvo: could not add the key to callers-of-nobody: "


async def test_the_digest_is_stored_beside_the_others(aws: EmbeddedAws, tmp_path: Path) -> None:
    async with aws_client("secretsmanager", aws.endpoint) as client:
        await client.create_secret(Name="callers-of-keys", SecretString='{"other": {"name": "other"}}')

        made = _salvo_key("--secret", "callers-of-keys", home=tmp_path, **aws_environment(aws.endpoint))

        stored = json.loads((await client.get_secret_value(SecretId="callers-of-keys"))["SecretString"])
    assert made.returncode == 0
    assert stored == {"other": {"name": "other"}, digest_key(made.stdout.strip()): {"name": "checkout"}}


def test_the_region_may_be_said(aws: EmbeddedAws, tmp_path: Path) -> None:
    nowhere = {**aws_environment(aws.endpoint), "AWS_DEFAULT_REGION": "", "AWS_REGION": ""}

    finished = _salvo_key("--secret", "callers-of-nobody", "--region", "eu-central-1", home=tmp_path, **nowhere)

    assert finished.returncode == 1
    assert finished.stderr.startswith(f"{_BROKEN}AWS refuses GetSecretValue: ")


def test_without_a_region_it_says_what_to_do(tmp_path: Path) -> None:
    finished = _salvo_key("--secret", "callers-of-nobody", home=tmp_path)

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == f"{_BROKEN}no region: pass --region, such as eu-central-1, or set AWS_DEFAULT_REGION\n"


def test_without_credentials_it_says_what_to_do(tmp_path: Path) -> None:
    finished = _salvo_key("--secret", "callers-of-nobody", "--region", "eu-central-1", home=tmp_path)

    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == (
        f"{_BROKEN}there are no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE\n"
    )


async def test_scopes_and_services_are_stored_as_the_functions_read_them(aws: EmbeddedAws, tmp_path: Path) -> None:
    async with aws_client("secretsmanager", aws.endpoint) as client:
        await client.create_secret(Name="callers-with-scopes", SecretString="{}")
        options = ("--scope", "check", "--scope", "read", "--service", "shop", "--secret", "callers-with-scopes")

        made = _salvo_key(*options, home=tmp_path, **aws_environment(aws.endpoint))

        callers = SecretCallers(CachedSecret(client, "callers-with-scopes", ManualClock()))
        found = await callers.caller_of(digest_key(made.stdout.strip()))
    assert found == Caller(name="checkout", scopes=frozenset({Scope.CHECK, Scope.READ}), services=frozenset({"shop"}))


async def test_a_third_key_of_a_caller_is_refused_until_one_of_the_two_is_revoked(
    aws: EmbeddedAws, tmp_path: Path
) -> None:
    environment = aws_environment(aws.endpoint)
    async with aws_client("secretsmanager", aws.endpoint) as client:
        await client.create_secret(Name="callers-of-two", SecretString='{"other": {"name": "other"}}')
        secret = ("--secret", "callers-of-two")
        first, second, third = [_salvo_key(*secret, home=tmp_path, **environment) for _ in range(3)]
        old, new = [digest_key(key.stdout.strip()) for key in (first, second)]
        which = _salvo_key("--revoke", *secret, home=tmp_path, **environment)
        revoked = _salvo_key("--revoke", old[:8], *secret, home=tmp_path, **environment)
        left = json.loads((await client.get_secret_value(SecretId="callers-of-two"))["SecretString"])

    both = f"checkout has the keys {old[:8]} and {new[:8]} (the oldest first)"
    assert (third.returncode, third.stdout) == (1, "")
    assert third.stderr == f"salvo: {both} already: revoke one first\n"
    assert (which.returncode, which.stderr) == (1, f"salvo: {both}: say which, after --revoke\n")
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert left == {"other": {"name": "other"}, new: {"name": "checkout"}}


def test_the_only_key_is_revoked_without_its_name_and_nobody_elses_with_it() -> None:
    stored = {"abc": {"name": "checkout"}, "abd": {"name": "other"}, "e": None}

    assert without_key(stored, "checkout", "") == {"abd": {"name": "other"}, "e": None}


@pytest.mark.parametrize(
    ("which", "told"), [("", "nobody has no key"), ("ab", "nobody has no key ab")], ids=["any", "named"]
)
def test_a_key_that_is_not_there_is_not_revoked(which: str, told: str) -> None:
    with pytest.raises(KeyRefused, match=f"^{told}$"):
        without_key({"abc": {"name": "checkout"}}, "nobody", which)


def test_a_key_is_revoked_where_it_is_stored(tmp_path: Path) -> None:
    refused = _salvo_key("--revoke", home=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "salvo: a key is revoked where it is stored: pass --secret with the stack's CallersSecret\n"
    )


def _salvo_key(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.command", "key", "checkout", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
