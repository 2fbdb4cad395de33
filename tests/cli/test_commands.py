"""The commands on a real run: an embedded model, a real task, everything read back."""

import io
import json
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.cli.commands import Done, small_task, strop

NAME = "package-sections"
QUICK = ("--algorithm", "labeledfewshot", "--quiet")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def optimized(home: Path) -> Done:
    """The first run of the module; the others look at it."""
    return strop("optimize", home, *QUICK, "--json")


def test_optimize_prints_one_object_with_all_that_was_promised(optimized: Done, home: Path) -> None:
    assert optimized.code == 0, optimized.err
    data = optimized.json
    promised = [
        "run_id",
        "task",
        "algorithm",
        "status",
        "verdict",
        "seed",
        "test",
        "dev",
        "cost",
        "per_request",
        "version",
        "report",
        "seconds",
    ]
    assert set(promised) <= set(data)
    assert {"n", "baseline", "optimized", "change", "ci95", "p_value", "fixed", "broke", "look"} <= set(data["test"])
    assert {"n", "baseline", "optimized"} <= set(data["dev"])
    assert {"calls", "paid_calls", "replayed_calls", "usd", "budget_usd"} <= set(data["cost"])
    each = ["usd_before", "usd_after", "latency_ms_before", "latency_ms_after"]
    assert set(each) <= set(data["per_request"])
    assert (data["task"], data["algorithm"], data["status"], data["seed"]) == (NAME, "labeledfewshot", "completed", 0)
    assert data["test"]["change"] == pytest.approx(data["test"]["optimized"] - data["test"]["baseline"])
    assert data["test"]["fixed"] - data["test"]["broke"] == round(data["test"]["change"] * data["test"]["n"])
    assert Path(data["report"]).is_file()
    assert Path(data["report"]).is_relative_to(home)
    assert optimized.err == ""


def test_the_same_command_again_pays_nothing(optimized: Done, home: Path) -> None:
    again = strop("optimize", home, *QUICK, "--json").json
    assert again["cost"]["paid_calls"] == 0
    assert again["cost"]["usd"] == 0
    assert again["test"]["optimized"] == optimized.json["test"]["optimized"]
    assert again["program"]["fingerprint"] == optimized.json["program"]["fingerprint"]


def test_the_result_in_words(optimized: Done, home: Path) -> None:
    shown = strop("runs", "show", optimized.json["run_id"], "-C", home)
    data = optimized.json["test"]
    assert f"Held-out test (n={data['n']}, opened once, never seen by the optimiser; look 1 of 1)" in shown.out
    assert f"baseline {data['baseline']:.1%}   optimised {data['optimized']:.1%}" in shown.out
    assert f"Verdict: {optimized.json['verdict']}" in shown.out
    assert "practice prices, never billed" in shown.out
    assert f"Report: {optimized.json['report']}" in shown.out
    assert "Repeat: strop optimize" in shown.out


def test_the_ledger_adds_up_to_the_picodollar(optimized: Done, home: Path) -> None:
    ledger = strop("ledger", optimized.json["run_id"], "-C", home, "--json").json
    rows, totals = ledger["rows"], ledger["totals"]
    for key in ("calls", "paid", "replayed", "tokens_in", "tokens_out", "cost_pico"):
        assert totals[key] == sum(row[key] for row in rows)
        assert isinstance(totals[key], int)
    assert totals["usd"] == totals["cost_pico"] / 10**12 == optimized.json["cost"]["usd"]
    calls = [
        json.loads(line) for line in strop("ledger", optimized.json["run_id"], "-C", home, "--calls").out.splitlines()
    ]
    assert sum(call["cost_pico"] for call in calls) == totals["cost_pico"]
    assert len(calls) == totals["calls"]
    assert {(row["role"], row["phase"]) for row in rows} >= {("task", "baseline"), ("task", "test")}


def test_the_bare_noun_lists(optimized: Done, home: Path) -> None:
    runs = strop("runs", "-C", home, "--json").json
    assert optimized.json["run_id"] in {one["id"] for one in runs}
    assert runs == strop("runs", "list", "-C", home, "--json").json
    versions = strop("versions", "-C", home, "--json").json
    assert [one["number"] for one in versions if one["active"]] == [optimized.json["active_version"]]
    assert NAME in strop("versions", "-C", home).out
    assert optimized.json["run_id"] in strop("runs", "-C", home).out


def test_a_report_that_was_deleted_is_written_again(optimized: Done, home: Path) -> None:
    path = Path(optimized.json["report"])
    path.unlink()
    again = strop("runs", "report", optimized.json["run_id"], "-C", home, "--json")
    assert again.code == 0, again.err
    assert Path(again.json["report"]).is_file()


def test_versions_go_forth_and_back(optimized: Done, home: Path, tmp_path: Path) -> None:
    database = ("--database", tmp_path / "other.db")
    written = strop("versions", "export", NAME, tmp_path / "v.json", "--version", "1", "-C", home)
    assert written.code == 0, written.err
    for _ in range(2):
        assert strop("versions", "import", tmp_path / "v.json", *database, "--json").json["number"] == 1
    assert strop("versions", "activate", NAME, "1", *database).code == 0
    refused = strop("versions", "delete", NAME, "1", *database)
    assert refused.code == 2
    assert "active" in refused.err
    back = strop("versions", "rollback", NAME, *database)
    assert back.code == 2
    if optimized.json["version"] == 2:
        difference = strop("versions", "diff", NAME, "1", "2", "-C", home, "--json").json
        assert difference["prompts"][0]["demos_added"] > 0


def test_predict_answers_one_input(optimized: Done, home: Path) -> None:
    ask = ("predict", NAME, "-C", home, "description=chess game for two players")
    first = strop(*ask)
    assert first.code == 0, first.err
    again = strop(*ask, "--json").json
    assert again["output"]["section"] == first.out.strip()
    assert again["replayed"]
    assert again["usd"] == 0
    assert again["version"] == optimized.json["active_version"]


@pytest.mark.usefixtures("optimized")
def test_predict_keeps_the_order_and_reports_what_failed(home: Path, tmp_path: Path) -> None:
    texts = [f"tool number {n} for mail" for n in range(30)]
    lines = [json.dumps({"description": text, "id": n}) for n, text in enumerate(texts)]
    lines[3] = '{"descripton": "typo"}'
    lines[7] = "not json"
    lines.insert(10, "")
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines))
    done = strop("predict", NAME, "-C", home, "--input", source, "--output", target)
    assert done.code == 3
    assert "line 4: the input lacks 'description'" in done.err
    assert "line 8: is not JSON" in done.err
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["line"] for row in rows] == [n for n in range(1, 32) if n != 11]
    assert [row["line"] for row in rows if "error" in row] == [4, 8]
    assert rows[0]["input"] == {"description": texts[0], "id": 0}
    again = strop("predict", NAME, "-C", home, "--input", source, "--output", target)
    assert "0 calls, 28 from the ledger" in again.err


@pytest.mark.usefixtures("optimized")
def test_predict_reads_stdin(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"description": "sound editor"}\n'))
    done = strop("predict", NAME, "-C", home, "--input", "-")
    assert done.code == 0, done.err
    assert json.loads(done.out)["output"]["section"]


@pytest.mark.usefixtures("optimized")
def test_predict_stays_within_its_own_budget(home: Path) -> None:
    done = strop("predict", NAME, "-C", home, "description=never asked before", "--budget", 0, "--json")
    assert done.code == 4
    assert done.json["error"]["kind"] == "BudgetExceeded"


@pytest.mark.usefixtures("optimized")
def test_predict_names_the_field_that_was_meant(home: Path) -> None:
    done = strop("predict", NAME, "-C", home, "descripton=x")
    assert done.code == 2
    assert "did you mean 'description'?" in done.err
    assert strop("predict", "nosuch", "-C", home, "a=b").code == 2
    assert strop("predict", NAME, "-C", home).code == 2


def test_a_dry_run_leaves_nothing_behind(tmp_path: Path) -> None:
    small_task(tmp_path)
    before = sorted(tmp_path.iterdir())
    done = strop("optimize", tmp_path, "--dry-run", "--json", "--budget", "0.001")
    assert sorted(tmp_path.iterdir()) == before
    plan = done.json
    assert done.code == 0
    assert sum(plan["examples"].values()) == 200
    assert 0 < plan["cost"]["expected_usd"] <= plan["cost"]["worst_case_usd"]
    assert plan["calls"]["search_expected"] <= plan["calls"]["search_at_most"]
    assert "budget_small" in {finding["code"] for finding in plan["findings"]}
    words = strop("optimize", tmp_path, "--dry-run", "--budget", "0.001")
    assert "worst case" in words.out
    assert "remedy:" in words.out


def test_a_budget_of_nothing_buys_nothing(tmp_path: Path) -> None:
    small_task(tmp_path)
    done = strop("optimize", tmp_path, "--budget", 0, "--quiet", "--json")
    assert done.code == 4
    assert done.json["status"] == "budget_exceeded"
    assert done.json["cost"]["calls"] == 0
    assert done.json["test"] is None
    assert strop("versions", "-C", tmp_path, "--json").json == []
    words = strop("runs", "show", "last", "-C", tmp_path)
    assert "The sealed test was not opened: the budget was spent." in words.out
    assert f"Resume: strop optimize {tmp_path} --resume {done.json['run_id']} --budget USD" in words.out


def test_a_resumed_run_stays_the_same_run(optimized: Done, home: Path) -> None:
    run = optimized.json["run_id"]
    refused = strop("optimize", home, "--resume", run, "--seed", 7)
    assert refused.code == 2
    assert "--seed cannot be changed" in refused.err
    again = strop("optimize", home, "--resume", run, "--budget", 2, "--quiet")
    assert again.code == 0, again.err
    assert "Resumed (attempt 2)" in again.out
    assert "0 were new" in again.out


def test_an_unpriced_model_is_refused_before_any_call(home: Path) -> None:
    done = strop("optimize", home, "--model", "nobody/knows-this", "--json", "--quiet")
    assert done.code == 2
    assert done.json["error"]["kind"] == "PriceUnknown"
    assert "prices.yaml" in done.json["error"]["hint"]


def test_a_dead_provider_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789abcdef")
    dead = "task: {model: openai/local, api_base: 'http://127.0.0.1:9/v1', retries: 0}"
    small_task(tmp_path, {"task: embedded/small": dead})
    (tmp_path / "prices.yaml").write_text("openai/local: {input: 1, output: 1}\n")
    done = strop("optimize", tmp_path, *QUICK, "--json")
    assert done.code == 3
    assert done.json["status"] == "failed"
    assert "openai/local" in done.json["error"]
    assert done.json["version"] is None
    assert "canary" not in done.out + done.err


def test_models_are_priced_per_million(home: Path) -> None:
    found = strop("models", "-C", home, "--json").json
    assert [one["model"] for one in found["models"][:3]] == ["embedded/small", "embedded/medium", "embedded/large"]
    assert found["models"][2]["input"] == 3.0
    some = strop("models", "gpt-4o-mini", "-C", home)
    assert "openai/gpt-4o-mini" in some.out
    assert "embedded" not in some.out


def test_doctor_names_the_missing_key_and_never_shows_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strop("init", tmp_path)
    assert strop("doctor", "-C", tmp_path).code == 0
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-canary-0123456789abcdef")
    task = (tmp_path / "strop.yaml").read_text()
    (tmp_path / "strop.yaml").write_text(task.replace("task: embedded/small", "task: openai/gpt-4o-mini"))
    done = strop("doctor", "-C", tmp_path, "--json")
    assert done.code == 2
    problem = next(one for one in done.json if one["level"] == "problem")
    assert "OPENAI_API_KEY" in problem["told"]
    assert problem["remedy"]
    assert "ANTHROPIC_API_KEY" in done.out
    assert "canary" not in done.out


def test_schema_is_the_one_that_init_writes(home: Path) -> None:
    schema = strop("schema").json
    assert schema == json.loads((home / "strop.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)


def test_init_overwrites_nothing(home: Path) -> None:
    done = strop("init", home)
    assert done.code == 2
    assert "nothing is overwritten" in done.err
    assert {one["name"] for one in strop("init", "--list", "--json").json} >= {NAME, "iris", "ticket-routing"}


def test_looking_around_makes_no_database(tmp_path: Path) -> None:
    for words in (("runs",), ("versions",), ("ledger",), ("doctor",)):
        done = strop(*words, "-C", tmp_path, "--json")
        assert done.code == 0, done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("metric: accuracy", "metric: acuracy", "there is no metric 'acuracy'"),
        ("algorithm: miprov2\n", "algorithm: mipro9\n", "there is no algorithm 'mipro9'"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_an_unknown_name_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str, more: list[str]) -> None:
    text = (small_task(tmp_path, {old: new}) / "strop.yaml").read_text()
    line = text[: text.index(new)].count("\n") + 1
    done = strop("optimize", tmp_path, "--quiet", *more)
    assert done.code == 2
    assert f"strop.yaml:{line}: {told}" in done.err
    assert "algorithm" not in told or "known: auto, labeledfewshot" in done.err
    if "algorithm" in told:
        typed = strop("optimize", tmp_path, "--algorithm", "mipro8", *more)
        assert "error: there is no algorithm 'mipro8'" in typed.err


def test_an_embedded_model_that_there_is_not(home: Path) -> None:
    done = strop("optimize", home, "--model", "embedded/huge", "--dry-run")
    assert done.code == 2
    assert done.err == (
        "error: there is no embedded model 'embedded/huge'\n"
        "hint: there are embedded/small, embedded/medium, embedded/large\n"
    )
