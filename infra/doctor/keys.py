"""The secrets: there, and of the shape that the functions need. Nothing of what is in them is told."""

from __future__ import annotations

import re

from functions.stores.secrets_manager import parse_keyring
from functions.usecases.ports import KeysUnavailable
from infra.doctor.finding import Finding, fail, ok, warn
from infra.doctor.subject import Subject
from infra.stored_secret import read_secret

_OUR_KEYS = "keys"
_DIGEST = re.compile(r"[0-9a-f]{64}")


async def check_keyring(subject: Subject) -> list[Finding]:
    name = subject.stack.output("KeysSecretName")
    async with subject.aws.client("secretsmanager") as client:
        try:
            ring = parse_keyring(await read_secret(client, name), name, now=int(subject.now()))
        except KeysUnavailable as error:
            return [fail("keys", str(error), "no code can be made or checked: put its last good version back")]
    reads = (
        "" if ring.index_before is None else "; numbers are looked for under index_before too, for reads more a start"
    )
    return [ok("keys", f"{len(ring.peppers)} of them, {ring.current} makes new codes{reads}")]


async def check_callers(subject: Subject) -> list[Finding]:
    authorizer = subject.stack.parameters.get("Authorizer", _OUR_KEYS)
    return await _check_keys(subject) if authorizer == _OUR_KEYS else [_told_apart_by(authorizer, subject)]


def _told_apart_by(authorizer: str, subject: Subject) -> Finding:
    unset = [name for name in ("JwtIssuer", "JwtAudience") if not subject.stack.parameters.get(name)]
    if authorizer == "jwt" and unset:
        advice = f"./salvo deploy --stack-name {subject.stack.name} --parameter {unset[0]}=VALUE"
        return fail("callers", f"nobody may call the API: {' and '.join(unset)} not set", advice)
    return ok("callers", f"API Gateway tells them apart (Authorizer={authorizer}), and needs none of our keys")


async def _check_keys(subject: Subject) -> list[Finding]:
    name = subject.stack.output("CallersSecretName")
    make = f"AWS_DEFAULT_REGION={subject.aws.region} ./salvo key checkout --secret {name}"
    async with subject.aws.client("secretsmanager") as client:
        try:
            callers = await read_secret(client, name)
        except KeysUnavailable as error:
            return [fail("callers", str(error), make)]
    good = [digest for digest, caller in callers.items() if _is_caller(digest, caller)]
    if not good:
        return [fail("callers", "nobody may call the API", make)]
    if len(good) < len(callers):
        wrong = len(callers) - len(good)
        return [warn("callers", f"{wrong} of {len(callers)} entries are no key's", f"mend them in the secret {name}")]
    return [ok("callers", f"{len(good)} keys")]


def _is_caller(digest: str, caller: object) -> bool:
    return bool(_DIGEST.fullmatch(digest)) and isinstance(caller, dict) and isinstance(caller.get("name"), str)
