"""The house stands as the design says: floors, doors, one place for DSPy's settings, no patched doubles."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import strop

SOURCE = Path(strop.__file__).parent
TESTS = Path(__file__).parents[1]
ROOMS = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
HALLS = {"cli", "examples"}
"""Rooms whose door is no list of names: the command line, and a directory of data."""


def trees(directory: Path) -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(directory.rglob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"), filename=str(path))


def mentions(tree: ast.AST, module: str, name: str) -> bool:
    """Whether the code uses `module.name`, under whatever name it was imported."""
    aliases = {module}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == module:
            if any(alias.name == name for alias in node.names):
                return True
        elif isinstance(node, ast.Import):
            aliases |= {alias.asname for alias in node.names if alias.name.split(".")[0] == module and alias.asname}
    return any(
        isinstance(node, ast.Attribute) and node.attr == name and ast.unparse(node.value).split(".")[0] in aliases
        for node in ast.walk(tree)
    )


def test_every_room_imports_only_floors_below_it() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_the_contract_of_the_floors_has_no_exception() -> None:
    import tomllib

    contracts = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = (contract for contract in contracts if contract["type"] == "layers")
    assert floors["exhaustive"] is True
    assert floors["containers"] == ["strop"]
    assert not any(contract.get("ignore_imports") for contract in contracts)
    assert any(contract["type"] == "acyclic_siblings" for contract in contracts)


def test_dspy_is_never_configured_and_its_context_entered_in_one_file() -> None:
    assert [path for path, tree in trees(SOURCE) if mentions(tree, "dspy", "configure")] == []
    entered = [path.relative_to(SOURCE) for path, tree in trees(SOURCE) if mentions(tree, "dspy", "context")]
    assert len(entered) == 1, entered


def test_no_test_patches_what_it_tests() -> None:
    guilty: list[str] = []
    for path, tree in trees(TESTS):
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            guilty += [f"{path}: {name}" for name in names if name.startswith(("unittest.mock", "mock", "pytest_mock"))]
    assert guilty == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_door_says_what_the_room_is_and_lists_what_it_offers(room: Path) -> None:
    tree = ast.parse((room / "__init__.py").read_text("utf-8"))
    says = ast.get_docstring(tree)
    assert says
    assert says.splitlines()[0].endswith(".")
    if room.name in HALLS:
        return
    module = importlib.import_module(f"strop.{room.name}")
    offered = list(module.__all__)
    # ruff's order of __all__: constants, classes, the rest.
    assert offered == sorted(offered, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert [name for name in offered if not hasattr(module, name)] == []
    logic = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.With, ast.Try)
    assert [type(node).__name__ for node in tree.body if isinstance(node, logic)] in ([], ["FunctionDef"])
