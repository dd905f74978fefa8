"""Making a built function small: what goes, what stays, and that the wrong Python does not compile it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import msgspec
import pytest

from functions.providers import aws_sms, sns
from infra.artifact import import_error
from infra.slim import AWS_SERVICES, WrongPython, behind, compile_all, slim, version_of, without_debug_information
from infra.template import Function

RUNTIME = f"python{sysconfig.get_python_version()}"


def test_only_the_descriptions_of_services_that_are_called_stay(tmp_path: Path) -> None:
    _files(
        tmp_path,
        "botocore/data/endpoints.json",
        "botocore/data/dynamodb/2011-12-05/service-2.json.gz",
        "botocore/data/dynamodb/2012-08-10/service-2.json.gz",
        "botocore/data/dynamodb/2012-08-10/examples-1.json",
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
    )

    slim(tmp_path)

    assert _left(tmp_path) == ["botocore/data/dynamodb/2012-08-10/service-2.json.gz", "botocore/data/endpoints.json"]


def test_those_by_which_sms_are_sent_are_called() -> None:
    assert {aws_sms.SERVICE, sns.SERVICE} <= set(AWS_SERVICES)


def test_licences_stay_and_what_only_installers_read_goes(tmp_path: Path) -> None:
    kept = ["x-1.dist-info/METADATA", "x-1.dist-info/licenses/LICENSE"]
    _files(tmp_path, *kept, "x-1.dist-info/RECORD", "x-1.dist-info/direct_url.json", "x-1.data/scripts/x", "bin/x")

    slim(tmp_path)

    assert _left(tmp_path) == kept


def test_tests_and_stubs_of_packages_go_and_modules_stay(tmp_path: Path) -> None:
    _files(tmp_path, "x/core.py", "x/core.pyi", "x/speedups.c", "x/py.typed", "x/tests/test_core.py", "x-stubs/x.pyi")

    slim(tmp_path)

    assert _left(tmp_path) == ["x/core.py", "x/py.typed"]


def test_of_powertools_logs_and_metrics_stay(tmp_path: Path) -> None:
    powertools = "aws_lambda_powertools"
    kept = [f"{powertools}/logging/logger.py", f"{powertools}/utilities/__init__.py"]
    kept.append(f"{powertools}/utilities/jmespath_utils/__init__.py")
    _files(tmp_path, *kept, f"{powertools}/event_handler/api.py", f"{powertools}/utilities/parser/models/sqs.py")

    slim(tmp_path)

    assert _left(tmp_path) == kept


def test_a_library_without_its_debug_information_still_loads_and_works(tmp_path: Path) -> None:
    original = Path(msgspec._core.__file__)
    if not original.read_bytes().startswith(b"\x7fELF"):
        pytest.skip("the libraries of this system have another format")
    slimmed = without_debug_information(original.read_bytes())
    place = tmp_path / f"_core{EXTENSION_SUFFIXES[0]}"
    place.write_bytes(slimmed)
    program = (
        "import sys, msgspec; from importlib.util import module_from_spec, spec_from_file_location\n"
        "spec = spec_from_file_location('msgspec._core', sys.argv[1])\n"
        "module = module_from_spec(spec); spec.loader.exec_module(module)\n"
        "print(module.JSONEncoder().encode({'to': 1}).decode())\n"
    )

    finished = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True, check=False)

    assert len(slimmed) < original.stat().st_size
    assert finished.stdout == '{"to":1}\n'


def test_a_file_of_another_format_stays_as_it_is() -> None:
    assert without_debug_information(b"\xcf\xfa\xed\xfe a library of macOS") == b"\xcf\xfa\xed\xfe a library of macOS"


def test_compiled_modules_are_taken_without_a_look_at_their_source(tmp_path: Path) -> None:
    _files(tmp_path, "x/core.py")
    (tmp_path / "x" / "core.py").write_text("ANSWER = 1")
    compile_all(tmp_path, python=Path(sys.executable), runtime=RUNTIME)
    (tmp_path / "x" / "core.py").write_text("ANSWER = 2")

    spec = spec_from_file_location("core", tmp_path / "x" / "core.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.ANSWER == 1


def test_tracebacks_name_files_as_lambda_has_them(tmp_path: Path) -> None:
    _files(tmp_path, "x/core.py")

    compile_all(tmp_path, python=Path(sys.executable), runtime=RUNTIME)

    (compiled,) = (tmp_path / "x" / "__pycache__").iterdir()
    assert b"/var/task/x/core.py" in compiled.read_bytes()
    assert str(tmp_path).encode() not in compiled.read_bytes()


def test_another_python_than_the_runtimes_does_not_compile(tmp_path: Path) -> None:
    with pytest.raises(WrongPython, match=r"run on python3\.99"):
        compile_all(tmp_path, python=Path(sys.executable), runtime="python3.99")


def test_a_shim_that_fails_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)

    assert version_of(shim) == ""
    assert version_of(tmp_path / "absent") == ""


def test_behind_a_shim_that_works_is_the_interpreter_itself(tmp_path: Path) -> None:
    """The shim goes by variables, which the functions are tried out without."""
    shim = tmp_path / RUNTIME
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)

    assert behind(shim) == Path(sys.executable)


def test_a_handler_that_needs_what_was_not_built_does_not_start(tmp_path: Path) -> None:
    _handler(tmp_path, "import pytest\ndef handler(event, context): ...")

    assert "No module named 'pytest'" in import_error(_function(), tmp_path, python=Path(sys.executable))


def test_a_handler_that_cannot_be_called_does_not_start(tmp_path: Path) -> None:
    _handler(tmp_path, "handler = None")

    assert "cannot be called" in import_error(_function(), tmp_path, python=Path(sys.executable))


def test_a_handler_finds_its_variables_and_nothing_of_the_developers(tmp_path: Path) -> None:
    _handler(
        tmp_path,
        "import os\n"
        "assert os.environ['QUEUE_URL'].startswith('http://127.0.0.1:9/')\n"
        "assert os.environ['KEYS_SECRET'].startswith('arn:aws:secretsmanager:')\n"
        "assert os.environ['MAX_IN_FLIGHT'] == '1000'\n"
        "assert 'PATH' not in os.environ and 'HOME' not in os.environ\n"
        "def handler(event, context): ...",
    )

    assert import_error(_function(), tmp_path, python=Path(sys.executable)) == ""


def _function() -> Function:
    arn = {"Fn::GetAtt": ["Storage", "Outputs.Arn"]}
    return Function(
        name="ApiFunction",
        handler="functions.api.handler",
        runtime=RUNTIME,
        architecture="x86_64",
        timeout=15,
        environment={"QUEUE_URL": arn, "KEYS_SECRET": arn, "MAX_IN_FLIGHT": "1000"},
    )


def _handler(folder: Path, source: str) -> None:
    _files(folder, "functions/__init__.py")
    (folder / "functions" / "api.py").write_text(source)


def _files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_tables_and_servers_that_nobody_asks_go(tmp_path: Path) -> None:
    kept = [
        "_cffi_backend.so",
        "aiohttp/client.py",
        "phonenumbers/data/region_DE.py",
        "phonenumbers/shortdata/__init__.py",
    ]
    _files(tmp_path, *kept, "phonenumbers/shortdata/region_DE.py", "cffi/api.py", "pycparser/c_parser.py")
    _files(tmp_path, "dateutil/zoneinfo/dateutil-zoneinfo.tar.gz", "aiohttp/web.py", "aiohttp/web_app.py")

    slim(tmp_path)

    assert _left(tmp_path) == kept
