"""`strop agents prepare --judge`: said before what it may cost, within the budget, once, and over the real wire."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Done, strop
from tests.support.provider_server import ProviderServer

REDIRECTED = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "STROP_DATABASE_URL",
              "OPENAI_API_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL")  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's project with two sessions of which nothing says how they ended."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in REDIRECTED:
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "project"
    assert strop("init", place, "--example", "opencode").code == 0
    for name in ("session-001.json", "session-002.json"):
        log = place / "data/raw" / name
        whole = json.loads(log.read_text(encoding="utf-8"))
        for example in whole["examples"]:
            del example["outcome"]
            example["actions"] = [one for one in example["actions"] if one["tool"] != "bash"]
        log.write_text(json.dumps(whole), encoding="utf-8")
    return place


def prepare(project: Path, *argv: object) -> Done:
    return strop("agents", "prepare", "-C", project, *argv)


def test_without_a_judge_the_outcome_stays_unknown_and_the_way_out_is_named(project: Path) -> None:
    done = prepare(project)
    assert done.code == 0, done.err
    assert "not known 8" in done.out
    assert (
        "8 examples were left out because nothing says how it ended: `strop agents prepare --judge MODEL`" in done.out
    )


def test_a_dry_run_says_what_it_would_cost_and_asks_nothing(project: Path) -> None:
    done = prepare(project, "--judge", "embedded/large", "--dry-run")
    assert done.code == 0, done.err
    assert done.out.startswith("8 examples to ask embedded/large about: $0.01")
    assert done.out.endswith("the budget of $1.00 is never exceeded\n")
    assert strop("ledger", "-C", project, "--json").json["totals"]["calls"] == 0
    assert not (project / "data/processed").exists()


def test_a_judge_is_asked_once_and_its_verdicts_are_marked_as_practice(project: Path) -> None:
    done = prepare(project, "--judge", "embedded/large", "--json")
    assert done.code == 0, done.err
    told = done.json["judge"]
    assert (told["model"], told["practice"], told["open"], told["calls"], told["left"]) == (
        "embedded/large", True, 8, 8, 0,
    )  # fmt: skip
    assert told["succeeded"] + told["failed"] + told["unclear"] == 8
    assert 0 < told["cost_usd"] <= told["worst_usd"]
    assert done.json["unknown"] == told["unclear"]
    assert "practice" in done.err
    texts = [
        each["text"]
        for row in json.loads((project / "data/processed/examples.json").read_text(encoding="utf-8"))
        for each in row["outcome"]["evidence"]
        if each["kind"] == "judge"
    ]
    assert len(texts) == told["succeeded"]
    assert all(text.startswith("judge embedded/large (practice): yes") for text in texts)
    again = prepare(project, "--judge", "embedded/large", "--json").json
    assert (again["judge"]["open"], "calls" in again["judge"]) == (0, False)
    assert again["successful"] == done.json["successful"]


def test_a_budget_that_is_too_small_for_one_call_ends_it(project: Path) -> None:
    done = prepare(project, "--judge", "embedded/large", "--budget", "0.0001")
    assert done.code == 4
    assert "raise --budget" in done.err
    assert prepare(project, "--judge", "embedded/large", "--budget", "-1").code == 2


def test_a_missing_key_is_named_before_the_first_call(project: Path) -> None:
    done = prepare(project, "--judge", "openai/gpt-4o-mini")
    assert done.code == 2
    assert "the key of openai/gpt-4o-mini is missing: the environment variable OPENAI_API_KEY is not set" in done.err
    assert strop("ledger", "-C", project, "--json").json["totals"]["calls"] == 0


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--judge", "huge"], "write it as provider/name"),
        (["--judge", "openai/nobody"], "prices.yaml beside config.yaml"),
        (["--dry-run"], "--judge openai/gpt-4o-mini"),
    ],
)
def test_refusals(project: Path, argv: list[str], told: str) -> None:
    done = prepare(project, *argv)
    assert done.code == 2, done.out + done.err
    assert told in done.err
    assert "Traceback" not in done.err


def test_a_model_of_the_configuration_is_asked_where_it_stands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = project / "data/raw/session-001.json"
    secret = "sk-" + "a1B2c3D4e5F6g7H8i9J0k1L2"
    log.write_text(log.read_text(encoding="utf-8").replace("Cover the tax", f"With {secret} cover the tax"))
    monkeypatch.setenv("HOUSE_KEY", "sk-house-key-0123456789abcdef")
    with ProviderServer(lambda messages, model, params: "yes\nThe file was written.") as server:
        config = project / "config.yaml"
        text = config.read_text(encoding="utf-8").replace('provider: "embedded"\n    model: "large"', (
            'provider: "openai-compatible"\n    model: "house-coder"\n'
            f'    api_base: "{server.openai_base}"\n    api_key_env: "HOUSE_KEY"'
        ))  # fmt: skip
        config.write_text(text, encoding="utf-8")
        (project / "prices.yaml").write_text("openai/house-coder: {input: 0.1, output: 0.4}\n", encoding="utf-8")
        done = prepare(project, "--judge", "house-coder", "--json")
        assert done.code == 0, done.err
        sent = [json.dumps(one.body) for one in server.log.calls]
    assert (done.json["judge"]["succeeded"], done.json["unknown"]) == (8, 0)
    assert len(sent) == 8
    assert all("It stands between two lines that carry the same mark" in body for body in sent)
    assert secret not in "".join(sent)
    assert "[redacted key]" in "".join(sent)
