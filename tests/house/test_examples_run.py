"""The scripts that the guide names run as a user would run them: in a directory of their own, without a key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = ("question_answering", "summarization", "text_classification")


def test_every_example_is_run_here() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == list(SCRIPTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_example(name: str, tmp_path: Path) -> None:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("STROP_") and not key.endswith("_API_KEY")
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = (
        float(figure) for figure in re.findall(r"^(?:Original|Optimized)[^:]*: +([0-9.]+)", done.stdout, re.M)
    )
    assert after > before
    assert "IMPROVED" in done.stdout
    assert (tmp_path / ".strop" / "strop.db").exists()
