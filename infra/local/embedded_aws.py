"""DynamoDB, SQS and Secrets Manager on this machine: ministack in a process of its own, and our resources in it.

The table and the queues are made from infra/storage.yaml and infra/messaging.yaml, so there is one schema and no copy.
ministack's own CloudFormation is not used for that: it leaves the table's TTL off.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiobotocore.session import AioSession
from botocore.config import Config

from infra.interpreters import aws_python
from infra.local.accounts import Accounts, for_the_functions, new_accounts, token_for_all
from infra.local.ports import free_ports
from infra.local.processes import REPOSITORY, Child, start_module
from infra.template import read

REGION = "eu-central-1"

_HOST = "127.0.0.1"
_TRIES = 5
_START_SECONDS = 30.0
_POLL_SECONDS = 0.05

_CREATE_TABLE = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
_CREATE_QUEUE = ("DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds")


class EmbeddedAwsFailed(Exception):
    """It did not start. The message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class EmbeddedAws:
    endpoint: str
    child: Child

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        *,
        ports: Iterable[int] | None = None,
        python: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Self]:
        """Runs ministack on the first of `ports` that it gets, until the block is left.

        `python` is of another environment that has it; `settings` are environment variables besides ours.
        """
        interpreter = str(python or aws_python())
        with tempfile.TemporaryDirectory(prefix="salvo-aws-") as folder:
            child, endpoint = await _start_on_a_free_port(
                interpreter, Path(folder), ports or free_ports(_TRIES), settings or {}
            )
            try:
                yield cls(endpoint, child)
            finally:
                await child.kill()  # it keeps nothing, and asked to end it waits for the functions that it runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the functions work with, under the names that it has in the embedded AWS."""

    endpoint: str
    table: str
    queue_url: str
    bulk_queue_url: str
    dead_letter_queue_url: str
    keys_secret: str
    callers_secret: str
    provider_secrets: str
    """What the names of the providers' secrets begin with."""
    accounts: Accounts = field(repr=False)
    """At the providers: what our secrets hold, and what they alone know."""

    @property
    def secrets(self) -> Accounts:
        """What each provider's secret holds."""
        return for_the_functions(self.accounts)

    def account_token(self, provider: str) -> str:
        """The end of the address for the receipts of all messages by this provider."""
        return token_for_all(self.accounts, provider)

    def environment(self) -> dict[str, str]:
        """The functions' environment variables. The bulk sender's differ: `bulk_environment`."""
        return {
            **aws_environment(self.endpoint),
            "STACK_NAME": "local",
            "TABLE_NAME": self.table,
            "QUEUE_URL": self.queue_url,
            "BULK_QUEUE_URL": self.bulk_queue_url,
            "DEAD_LETTER_QUEUE_URL": self.dead_letter_queue_url,
            "KEYS_SECRET": self.keys_secret,
            "CALLERS_SECRET": self.callers_secret,
            "PROVIDER_SECRETS": self.provider_secrets,
        }

    def bulk_environment(self) -> dict[str, str]:
        """What the bulk sender has besides: another queue, and a lane of its own."""
        return {"QUEUE_URL": self.bulk_queue_url, "LANE": "bulk"}


def aws_environment(endpoint: str) -> dict[str, str]:
    """What any AWS SDK or tool needs to find the embedded AWS."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def aws_client(service: str, endpoint: str, *, config: Config | None = None) -> Any:
    """An aiobotocore client of the embedded AWS, to be entered with `async with`."""
    return _session().create_client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 (ministack asks for a key and takes any)
        config=config,
    )


@functools.cache
def _session() -> AioSession:
    """One for all clients: it keeps the service descriptions that it has read."""
    return AioSession()


async def create_resources(
    endpoint: str,
    *,
    visibility_timeout: int,
    api_key: str = "local",
    prefix: str = "salvo",
    templates: Path = REPOSITORY / "infra",
) -> Resources:
    """Table, queues and secrets as our templates have them. `prefix` keeps systems in one embedded AWS apart.

    `visibility_timeout` is the queue's; the bulk queue's is as many times longer as in the template.
    """
    storage, messaging = _Template.read(templates / "storage.yaml"), _Template.read(templates / "messaging.yaml")
    accounts, provider_secrets = new_accounts(), f"{prefix}-provider-"
    table, queues, names = await asyncio.gather(
        _create_table(endpoint, f"{prefix}-table", storage.properties("Table")),
        _create_queues(endpoint, prefix, messaging, visibility_timeout),
        _create_secrets(
            endpoint,
            {
                f"{prefix}-keys": {"pepper": "k1", "index": "k1", "k1": secrets.token_hex(32)},
                f"{prefix}-callers": {hashlib.sha256(api_key.encode()).hexdigest(): {"name": "local"}},
                **{provider_secrets + name: held for name, held in for_the_functions(accounts).items()},
            },
        ),
    )
    return Resources(
        endpoint=endpoint,
        table=table,
        queue_url=queues[0],
        bulk_queue_url=queues[1],
        dead_letter_queue_url=queues[2],
        keys_secret=names[0],
        callers_secret=names[1],
        provider_secrets=provider_secrets,
        accounts=accounts,
    )


async def _start_on_a_free_port(
    python: str, folder: Path, ports: Iterable[int], settings: Mapping[str, str]
) -> tuple[Child, str]:
    log = folder / "ministack.log"
    for port in ports:
        # Its health answer tells this back. Were the port somebody else's, their server would answer, and well.
        token = secrets.token_hex(16)
        child = await _start(python, folder, log, {**_settings(folder, port, token), **settings})
        endpoint = f"http://{_HOST}:{port}"
        try:
            if await _is_ready(child, endpoint, token):
                return child, endpoint
        except BaseException:
            await child.kill()
            raise
        await child.kill()
    raise EmbeddedAwsFailed(f"ministack did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _settings(folder: Path, port: int, token: str) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": _HOST,
        "MINISTACK_HOST": _HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_VERSION": token,
        "LOG_LEVEL": "WARNING",
        # Its other listeners would take fixed ports, and it would tidy up containers on the developer's Docker.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
    }


async def _start(python: str, folder: Path, log: Path, env: Mapping[str, str]) -> Child:
    with log.open("ab") as output:
        return await start_module("ministack", env=env, python=python, cwd=folder, stdout=output, stderr=output)


async def _is_ready(child: Child, endpoint: str, token: str) -> bool:
    """Waits until our own child answers; False when it has ended, or somebody else answers in its place."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as http:
            while child.alive:
                with contextlib.suppress(aiohttp.ClientError, ValueError):
                    async with http.get(f"{endpoint}/_ministack/health") as answer:
                        if (await answer.json()).get("version") == token:
                            return True
                await asyncio.sleep(_POLL_SECONDS)
    return False


@dataclass(frozen=True, slots=True)
class _Template:
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(read(path))

    def properties(self, resource: str) -> dict[str, Any]:
        """A resource's properties, with the defaults of the parameters that they refer to."""
        resolved = self._resolve(self.document["Resources"][resource].get("Properties", {}))
        return dict(resolved)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            if value.keys() == {"Ref"}:
                return self.document.get("Parameters", {}).get(value["Ref"], {}).get("Default", value)
            return {key: self._resolve(below) for key, below in value.items()}
        if isinstance(value, list):
            return [self._resolve(below) for below in value]
        return value


async def _create_table(endpoint: str, name: str, properties: Mapping[str, Any]) -> str:
    async with aws_client("dynamodb", endpoint) as dynamodb:
        await dynamodb.create_table(
            TableName=name, **{key: properties[key] for key in _CREATE_TABLE if key in properties}
        )
        ttl = properties["TimeToLiveSpecification"]
        await dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl["AttributeName"]},
        )
    return name


async def _create_queues(
    endpoint: str, prefix: str, template: _Template, visibility_timeout: int
) -> tuple[str, str, str]:
    """The queue, the bulk queue, and the dead letters of both."""
    single, bulk = template.properties("Queue"), template.properties("BulkQueue")
    longer = bulk["VisibilityTimeout"] // single["VisibilityTimeout"]
    async with aws_client("sqs", endpoint) as sqs:
        dead = await _create_queue(sqs, f"{prefix}-dead-letters", template.properties("DeadLetterQueue"), {})
        answer = await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        return (
            await _create_queue(sqs, f"{prefix}-queue", single, _ending_at(arn, single, visibility_timeout)),
            await _create_queue(sqs, f"{prefix}-bulk-queue", bulk, _ending_at(arn, bulk, visibility_timeout * longer)),
            dead,
        )


def _ending_at(dead_letters: str, queue: Mapping[str, Any], visibility_timeout: int) -> dict[str, str]:
    redrive = {
        "deadLetterTargetArn": dead_letters,
        "maxReceiveCount": int(queue["RedrivePolicy"]["maxReceiveCount"]),
    }
    return {"VisibilityTimeout": str(visibility_timeout), "RedrivePolicy": json.dumps(redrive)}


async def _create_queue(sqs: Any, name: str, properties: Mapping[str, Any], extra: Mapping[str, str]) -> str:
    attributes = {key: str(properties[key]) for key in _CREATE_QUEUE if key in properties}
    answer = await sqs.create_queue(QueueName=name, Attributes={**attributes, **extra})
    return str(answer["QueueUrl"])


async def _create_secrets(endpoint: str, contents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    async with aws_client("secretsmanager", endpoint) as secretsmanager:
        for name, content in contents.items():
            await secretsmanager.create_secret(Name=name, SecretString=json.dumps(content))
    return list(contents)
