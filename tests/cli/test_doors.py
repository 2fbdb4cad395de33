"""The door and the first page cost next to nothing, and say what is there."""

import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import strop
from strop import errors
from strop.cli.help import EXIT_CODES, LISTS, NOUNS, help_text
from strop.cli.main import run

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"dspy", "litellm", "sqlalchemy", "scipy", "pydantic", "numpy", "optuna", "typer", "rich"}


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_importing_strop_loads_nothing_heavy() -> None:
    loaded = json.loads(fresh("import json, sys, strop; print(json.dumps(list(sys.modules)))").stdout)
    assert not HEAVY & set(loaded)
    assert not [name for name in loaded if name.startswith("strop.")]


def test_help_loads_nothing_heavy_and_is_cheap() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = (
        "import sys; from strop.cli.main import run; code = run(['--help']); "
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    done = fresh(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout == help_text()
    assert not HEAVY & set(done.stderr.split())
    # Loose on purpose: the figure itself is measured in benchmarks/, this only catches a heavy import by another name.
    assert (after.ru_utime - before.ru_utime) < 1.0


def test_every_public_name_is_there() -> None:
    assert list(strop.__all__) == sorted(strop.__all__)
    for name in strop.__all__:
        assert getattr(strop, name) is not None
    assert set(strop.__all__) <= set(dir(strop))


def test_star_import_works() -> None:
    found: dict[str, object] = {}
    exec("from strop import *", found)
    assert {"optimize", "House", "TaskSpec", "OptimizationPipeline", "MetricType"} <= set(found)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = strop.nosuch


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_has_a_command_with_help(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.import_module(f"strop.cli.{noun}").app
    assert run([noun, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: strop {noun}" in shown
    assert ("Commands:" in shown) == (noun in LISTS)


def test_every_exit_code_of_an_error_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StropError)]
    assert {kind.exit_code for kind in kinds} <= set(EXIT_CODES)
    for code in EXIT_CODES:
        assert f"\n  {code:>3}  " in help_text()


def test_help_fits_a_terminal() -> None:
    assert max(map(len, help_text().splitlines())) <= 100


def test_the_reference_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/make_docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
