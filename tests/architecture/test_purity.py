"""What ruff and import-linter cannot see: randomness at import, comparisons that leak time, and how long things are."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.providers.catalog import PROVIDERS

FUNCTIONS = Path(__file__).parents[2] / "functions"
MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 40

Finder = Callable[[ast.Module], list[str]]

_RANDOM_SOURCES = ("secrets.", "uuid.", "os.urandom")
_DIGEST = re.compile(r"(^|_)(mac|hmac|digest|hexdigest|signature)s?(_|$)")


def test_nothing_random_is_made_at_import() -> None:
    assert _found(random_at_import) == []


def test_codes_and_ids_never_come_from_the_random_module() -> None:
    assert _found(random_imports) == []


def test_digests_are_compared_in_constant_time() -> None:
    assert _found(plain_comparisons) == []


def test_every_public_module_says_what_it_is_for() -> None:
    public = [path for path in _modules() if not path.name.startswith("_")]

    assert [_name(path) for path in public if not ast.get_docstring(_tree(path))] == []


def test_every_provider_is_held_apart_from_the_others() -> None:
    linter = tomllib.loads((FUNCTIONS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (apart,) = [contract for contract in linter["contracts"] if contract["type"] == "independence"]

    assert set(apart["modules"]) == {f"functions.providers.{name}" for name in PROVIDERS}


def test_no_file_has_more_than_300_lines() -> None:
    lengths = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in _modules()}

    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FILE} == {}


def test_no_function_has_more_than_40_lines() -> None:
    assert _found(long_functions) == []


@pytest.mark.parametrize(
    ("finder", "source"),
    [
        ("random_at_import", "import secrets\nSEED = secrets.token_bytes(16)"),
        ("random_at_import", "from uuid import uuid4 as new\nclass Request:\n    id = new()"),
        ("random_at_import", "import os\ndef start(seed=os.urandom(8)): ..."),
        ("random_at_import", "import secrets\n@register(secrets.token_hex())\ndef start(): ..."),
        ("random_at_import", "import secrets as s\nif True:\n    SEED = [s.token_hex() for _ in range(3)]"),
        ("random_imports", "import random"),
        ("random_imports", "def jitter():\n    from random import uniform"),
        ("random_imports", "from random import seed, uniform"),
        ("plain_comparisons", "if code.digest == expected: ..."),
        ("plain_comparisons", "allowed = given != record.last_mac"),
        ("plain_comparisons", "if hashlib.sha256(key).hexdigest() == stored: ..."),
        ("plain_comparisons", "if headers['signature'] == signature: ..."),
        ("long_functions", "def endless():\n" + "    step()\n" * 40),
        ("long_functions", "async def endless():\n" + "    step()\n" * 40),
    ],
)
def test_each_rule_finds_what_it_forbids(finder: str, source: str) -> None:
    assert len(_FINDERS[finder](ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("finder", "source"),
    [
        ("random_at_import", "import secrets\ndef start():\n    return secrets.token_bytes(16)"),
        ("random_at_import", "import secrets\nentropy = lambda: secrets.token_bytes(16)"),
        ("random_at_import", "import os\nroot = os.getcwd()"),
        ("random_imports", "from secrets import randbelow"),
        ("random_imports", "from random import seed as reseed"),
        ("plain_comparisons", "if machine == 'arm64' and len(digest) != 64: ..."),
        ("plain_comparisons", "same = hmac.compare_digest(mac, other)"),
        ("plain_comparisons", "if mac is not None: ..."),
        ("long_functions", "def short():\n" + "    step()\n" * 39),
    ],
)
def test_each_rule_lets_the_right_thing_pass(finder: str, source: str) -> None:
    assert _FINDERS[finder](ast.parse(source)) == []


def random_at_import(module: ast.Module) -> list[str]:
    """Calls to a random source that run when the module is imported: what a frozen sandbox would hand out twice."""
    names = _imported(module)
    calls = [node for node in _run_at_import(module) if isinstance(node, ast.Call)]
    return [_at(call) for call in calls if _resolved(call.func, names).startswith(_RANDOM_SOURCES)]


def random_imports(module: ast.Module) -> list[str]:
    """But for `seed`, which draws nothing: it is how libraries get another sequence after a snapshot."""
    imports = [node for node in ast.walk(module) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [_at(node) for node in imports if "random" in _modules_of(node) and not _only_reseeds(node)]


def _only_reseeds(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["seed"]


def plain_comparisons(module: ast.Module) -> list[str]:
    return [_at(node) for node in ast.walk(module) if isinstance(node, ast.Compare) and _leaks(node)]


def long_functions(module: ast.Module) -> list[str]:
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f"{_at(node)} {node.name}" for node in functions if _lines(node) > MOST_LINES_OF_A_FUNCTION]


_FINDERS: dict[str, Finder] = {
    finder.__name__: finder for finder in (random_at_import, random_imports, plain_comparisons, long_functions)
}


def _found(finder: Finder) -> list[str]:
    return [f"{_name(path)}:{where}" for path in _modules() for where in finder(_tree(path))]


def _modules() -> list[Path]:
    modules = sorted(FUNCTIONS.rglob("*.py"))
    assert modules
    return [path for path in modules if path.name != "__init__.py" or path.read_text(encoding="utf-8").strip()]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _name(path: Path) -> str:
    return str(path.relative_to(FUNCTIONS.parent))


def _at(node: ast.stmt | ast.expr) -> str:
    return str(node.lineno)


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Everything but the bodies of functions: their decorators and defaults do run."""
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        inner: list[ast.AST] = [*node.decorator_list, node.args]
    elif isinstance(node, ast.Lambda):
        inner = [node.args]
    else:
        inner = list(ast.iter_child_nodes(node))
    for child in inner:
        yield from _run_at_import(child)


def _imported(module: ast.Module) -> dict[str, str]:
    """What each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _resolved(function: ast.expr, names: dict[str, str]) -> str:
    first, dot, rest = ast.unparse(function).partition(".")
    return names.get(first, first) + dot + rest


def _modules_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""]


def _leaks(comparison: ast.Compare) -> bool:
    equality = any(isinstance(operator, ast.Eq | ast.NotEq) for operator in comparison.ops)
    return equality and any(_is_digest(operand) for operand in (comparison.left, *comparison.comparators))


def _is_digest(operand: ast.expr) -> bool:
    """By the last name of it: record.last_mac, headers["signature"], hasher.hexdigest()."""
    match operand:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(_DIGEST.search(name.lower()))
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
            return bool(_DIGEST.search(key.lower())) or _is_digest(value)
        case ast.Call(func=inner) | ast.Subscript(value=inner) | ast.Await(value=inner):
            return _is_digest(inner)
    return False


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
