"""What ./salvo does with its arguments: finds the command, reads its options, runs it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from infra.environments import EnvironmentUnavailable, say


@dataclass(frozen=True, slots=True)
class Command:
    module: str
    """Has add_arguments(parser) and main(args) -> int. Imported for its own command only: most are slow to load."""
    help: str


COMMANDS = {
    "demo": Command("infra.local.demo", "send codes through a simulated SMS gateway, and see how fast they go"),
    "up": Command("infra.local.up", "keep the whole system running on this machine"),
    "key": Command("infra.keys", "make an API key for a caller"),
    "test": Command("pytest", "run the tests; what follows goes to pytest"),
    "check": Command("infra.checks", "check format, style, types, imports and templates"),
    "build": Command("infra.sam", "build what Lambda gets, and check that it works by itself"),
    "bench": Command("tests.benchmarks.run", "measure batches beside other ways to send them, and the artefact"),
    "deploy": Command("infra.deploy", "build, and deploy to AWS"),
    "send": Command("infra.send.command", "send a code to each number of a CSV file"),
    "credentials": Command("infra.credentials", "try a provider's keys, and put them into its secret"),
    "logs": Command("infra.logs", "follow a stack's logs"),
    "doctor": Command("infra.doctor", "check a deployed stack from outside"),
    "erase": Command("infra.erase", "delete what is stored of a phone number"),
    "guard": Command("infra.guard.command", "see and change what the guard against abuse does"),
    "cost": Command("infra.cost", "what a million verifications cost on AWS, for your numbers"),
    "scale": Command(
        "infra.scale.command", "simulate a campaign: how long, how many functions, what it costs, what breaks"
    ),
}


def main(arguments: Sequence[str]) -> int:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"salvo: there is no command {name!r}\n\n{_help()}" if name else _help())
        return 2
    try:
        return _test(rest) if name == "test" else _run(name, COMMANDS[name], rest)
    except EnvironmentUnavailable as error:
        say(str(error))
        return 1


def _test(arguments: Sequence[str]) -> int:
    """Becomes pytest, which reads its own options, and whose summary is to be the last line."""
    importlib.import_module("infra.interpreters").make_all()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606


def _run(name: str, command: Command, arguments: Sequence[str]) -> int:
    module = importlib.import_module(command.module)
    parser = argparse.ArgumentParser(prog=f"salvo {name}", description=command.help)
    module.add_arguments(parser)
    return int(module.main(parser.parse_args(arguments)))


def _help() -> str:
    lines = [f"  {name:<13}{command.help}" for name, command in COMMANDS.items()]
    usage = ["usage: ./salvo <command> [options]", "", *lines, "", "./salvo <command> --help tells more about one."]
    return "\n".join(usage) + "\n"


def _start() -> int:
    if sys.stdout is None:
        say("standard output is closed, so nothing could be told: nothing was done")
        return 1
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        say("nobody reads on, so the rest was not told")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left must not fail once more
        return 1
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(_start())
