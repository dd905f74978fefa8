"""./salvo key: the key is shown once, its digest is stored, and what went wrong is told with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from functions.web.authentication import digest_key
from infra.environments import ROOT
from infra.local.embedded_aws import EmbeddedAws, aws_client, aws_environment

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


def _salvo_key(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.command", "key", "checkout", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
