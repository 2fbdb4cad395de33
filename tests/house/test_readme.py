"""The README shows a real run's real output: a run today must still say the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a clock or chance may change: which calls were asked ahead, and so the cost of the search.
FIGURES = re.compile(r"^ +(baseline .*|.* p = .*|Verdict: .*)$", re.MULTILINE)


def shown() -> str:
    text = (ROOT / "README.md").read_text("utf-8")
    return text.split("<!-- demo -->")[1].split("<!-- /demo -->")[0]


@pytest.mark.slow
def test_the_demo_still_says_what_the_readme_shows(tmp_path: Path):
    demo = subprocess.run(
        [sys.executable, "-m", "strop", "demo", "--quiet"],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    expected = FIGURES.findall(shown())
    assert len(expected) == 3
    assert FIGURES.findall(demo.stdout) == expected


def test_every_file_that_the_readme_links_to_exists():
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert len(links) >= 5
    assert not [link for link in links if not (ROOT / link).exists()]
