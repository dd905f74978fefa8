"""The wrapper and its front: which Python it takes, how it hands over, what it says when asked for nonsense."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra import checks
from infra.checks import Step
from infra.command import COMMANDS, main
from infra.environments import ROOT, EnvironmentUnavailable, ensure

SALVO = ROOT / "salvo"


def test_salvo_is_executable_and_has_no_ending() -> None:
    assert os.access(SALVO, os.X_OK)


def test_an_older_python_is_told_what_is_needed() -> None:
    pretend = f"import runpy, sys; sys.version_info = (3, 10, 12); runpy.run_path({str(SALVO)!r}, run_name='__main__')"

    finished = _python("-c", pretend)

    assert finished.returncode == 1
    assert "needs Python 3.11 or newer" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_command_gets_its_arguments_as_they_are_from_wherever_it_is_called(tmp_path: Path) -> None:
    checkout = _checkout_with_stubs(tmp_path, ensure="return sys.executable")

    finished = _python(str(checkout / "salvo"), "demo", "--codes", "10", "", "two words", cwd=tmp_path)

    assert finished.stdout.splitlines() == [str(checkout), "['demo', '--codes', '10', '', 'two words']"]
    assert finished.returncode == 7


def test_an_environment_that_cannot_be_made_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    checkout = _checkout_with_stubs(tmp_path, ensure="raise EnvironmentUnavailable('apt install python3-venv')")

    finished = _python(str(checkout / "salvo"), "demo")

    assert finished.returncode == 1
    assert finished.stderr == "salvo: apt install python3-venv\n"


@pytest.mark.parametrize("asked", ["--help", "-h", "help"])
def test_help_lists_every_command(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([asked])

    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert code == 0
    assert listed == list(COMMANDS)


def test_an_unknown_command_gets_help_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["frobnicate"])

    answer = capsys.readouterr()
    assert code == 2
    assert "no command 'frobnicate'" in answer.err
    assert all(name in answer.err for name in COMMANDS)
    assert answer.out == ""


def test_no_command_gets_help_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([])

    assert code == 2
    assert "usage: ./salvo" in capsys.readouterr().err


@pytest.mark.parametrize("buffered", ["", "1"])
def test_who_stops_reading_is_told_in_a_sentence(buffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    finished = subprocess.run(
        [sys.executable, "-m", "infra.command", "cost"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": buffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert (finished.returncode, finished.stderr) == (1, "salvo: nobody reads on, so the rest was not told\n")


def test_without_a_standard_output_nothing_is_done() -> None:
    finished = subprocess.run(
        ["/bin/sh", "-c", '"$0" -m infra.command key checkout >&-', sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.returncode, finished.stderr) == (
        1,
        "salvo: standard output is closed, so nothing could be told: nothing was done\n",
    )


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "test"])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])

    assert stop.value.code == 0
    assert f"usage: salvo {name}" in capsys.readouterr().out


def test_what_follows_test_goes_to_pytest() -> None:
    finished = _python("-m", "infra.command", "test", "--version")

    assert finished.returncode == 0
    assert finished.stdout.startswith("pytest ")


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    maker, requirements = _Maker(), _requirements(tmp_path, "one==1")

    first = ensure(tmp_path / ".venv", requirements, make=maker)
    second = ensure(tmp_path / ".venv", requirements, make=maker)

    assert first == second == tmp_path / ".venv" / "bin" / "python"
    assert maker.made == 1


def test_other_requirements_make_another_environment_with_nothing_left_of_the_old(tmp_path: Path) -> None:
    maker, requirements = _Maker(), _requirements(tmp_path, "one==1")
    ensure(tmp_path / ".venv", requirements, make=maker)
    (tmp_path / ".venv" / "lib").mkdir()
    (tmp_path / ".venv" / "lib64").symlink_to("lib")

    _requirements(tmp_path, "one==2")
    ensure(tmp_path / ".venv", requirements, make=maker)

    assert maker.made == 2
    assert not (tmp_path / ".venv" / "lib").exists()
    assert not (tmp_path / ".venv" / "lib64").is_symlink()


def test_an_environment_of_another_python_is_another_environment(tmp_path: Path) -> None:
    maker, requirements = _Maker(), _requirements(tmp_path, "one==1")
    ensure(tmp_path / ".venv", requirements, make=maker)

    ensure(tmp_path / ".venv", requirements, interpreter=Path("/opt/python3.13"), make=maker)

    assert (maker.made, maker.interpreter) == (2, Path("/opt/python3.13"))


def test_an_environment_whose_interpreter_was_uninstalled_is_made_anew(tmp_path: Path) -> None:
    maker, requirements = _Maker(), _requirements(tmp_path, "one==1")
    python = ensure(tmp_path / ".venv", requirements, make=maker)
    python.unlink()
    python.symlink_to("uninstalled")

    ensure(tmp_path / ".venv", requirements, make=maker)

    assert maker.made == 2


def test_an_environment_that_was_given_up_half_way_is_not_used(tmp_path: Path) -> None:
    requirements = _requirements(tmp_path, "one==1")
    with pytest.raises(EnvironmentUnavailable):
        ensure(tmp_path / ".venv", requirements, make=_Maker(fails=True))
    maker = _Maker()

    ensure(tmp_path / ".venv", requirements, make=maker)

    assert maker.made == 1


def test_of_many_calls_at_once_one_makes_the_environment_and_all_wait_for_it(tmp_path: Path) -> None:
    requirements = _requirements(tmp_path, "one==1")
    program = (
        "import sys; from pathlib import Path; from infra.environments import ensure\n"
        "def make(folder, requirements, interpreter):\n"
        "    with open(folder.parent / 'made', 'a') as made: made.write('x')\n"
        "    (folder / 'bin').mkdir(); (folder / 'bin' / 'python').touch()\n"
        "print(ensure(Path(sys.argv[1]), Path(sys.argv[2]), make=make).exists())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / ".venv"), str(requirements)]
    with _held(tmp_path / ".venv"):
        calls = [_start(command) for _ in range(6)]
        waiting = [call.stderr.readline() for call in calls if call.stderr]

    answers = [call.communicate()[0] for call in calls]

    assert waiting == ["salvo: another process is making .venv, waiting for it\n"] * 6
    assert answers == ["True\n"] * 6
    assert (tmp_path / "made").read_text() == "x"


def test_every_check_runs_even_when_one_fails(capsys: pytest.CaptureFixture[str]) -> None:
    code = checks.run([_step("first", "exit(0)"), _step("second", "exit('what is wrong')"), _step("third", "exit(0)")])

    printed = capsys.readouterr().out.splitlines()
    assert code == 1
    assert [(line.split()[0], line.split()[-1]) for line in printed if " s  " in line] == [
        ("first", "ok"),
        ("second", "FAILED"),
        ("third", "ok"),
    ]
    assert "what is wrong" in printed


def test_checks_that_all_pass_say_so_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code = checks.run([_step("noisy", "print('chatter')")])

    assert code == 0
    assert "chatter" not in capsys.readouterr().out


class _Maker:
    """Makes an environment that has an interpreter, and nothing in it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.made = 0
        self.interpreter: Path | None = None
        self._fails = fails

    def __call__(self, folder: Path, requirements: Sequence[Path], interpreter: Path | None) -> None:
        self.interpreter = interpreter
        (folder / "bin").mkdir()
        (folder / "bin" / "python").touch()
        if self._fails:
            raise EnvironmentUnavailable("the index is away")
        self.made += 1


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The environment's lock, as another process holds it."""
    folder.mkdir()
    with (folder / ".salvo-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _requirements(folder: Path, text: str) -> Path:
    (folder / "requirements.txt").write_text(text)
    return folder / "requirements.txt"


def _checkout_with_stubs(folder: Path, *, ensure: str) -> Path:
    """The real wrapper beside an `infra` that does what the test says, and prints what it is called with."""
    checkout = folder / "checkout"
    (checkout / "infra").mkdir(parents=True)
    shutil.copy(SALVO, checkout / "salvo")
    (checkout / "infra" / "__init__.py").touch()
    (checkout / "infra" / "environments.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        "ROOT = Path(__file__).resolve().parent.parent\n"
        "class EnvironmentUnavailable(Exception): pass\n"
        f"def ensure(folder, *requirements):\n    {ensure}\n"
    )
    (checkout / "infra" / "command.py").write_text(
        "import os, sys\nprint(os.getcwd())\nprint(sys.argv[1:])\nsys.exit(7)\n"
    )
    return checkout


def _step(name: str, program: str) -> Step:
    return Step(name, [sys.executable, "-c", program])


def _python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
