"""Tables keep names and numbers whole however narrow the terminal is."""

import pytest

from strop.cli import console


def test_a_narrow_table_breaks_words_and_never_names_or_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PIPE_WIDTH", 60)
    name, origin = "openrouter/some-provider/some-model-70b", "trial 12: instruction 3, demos 4, and many more words"
    rows = [(name, "1,234,567", origin, "$1,234.56"), ("b", "7", "short", "$0.01")]
    console.table(("Model", "Tokens", "Origin", "USD"), rows, right=("Tokens", "USD"))
    out = capsys.readouterr().out
    first = next(line for line in out.splitlines() if line.startswith(name))
    assert "1,234,567" in first
    assert "$1,234.56" in first
    assert origin not in out
    assert out.splitlines()[0].split() == ["Model", "Tokens", "Origin", "USD"]


def test_a_narrow_table_that_fits_stays_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PIPE_WIDTH", 60)
    console.table(("Run", "Origin"), [("kq7wz3fa", "word " * 40)])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60
