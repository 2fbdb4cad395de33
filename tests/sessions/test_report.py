"""Reports: the documented shape, everything that was measured, nothing secret, nothing that hostile text can do."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import combinations

import pytest

from strop.errors import StoreUnwritable
from strop.gateway import Redactor
from strop.sessions import SessionResult, TrainingPhase
from strop.sessions.charts import COLOURS, LETTER, _any_overlap, _box, _labels, colours_of
from strop.sessions.recommending import decide
from strop.sessions.report import as_json, html, markdown, write_reports
from strop.sessions.result import Convergence, Spending
from strop.sessions.wording import money, shortened
from tests.sessions.made_results import model, rich_session, sealed, session, step

KEY = "sk-ant-api03-abcdefgh12345678"
OWN = "correct-horse-battery-9"


@cache
def rich() -> SessionResult:
    return rich_session()


@cache
def rich_page() -> str:
    return html(rich())


@cache
def rich_text() -> str:
    return markdown(rich())


class Page(HTMLParser):
    """Tags, text and anything that would be fetched."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in {"meta", "rect", "line", "circle", "br"} and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)
        self.fetched += [
            value for name, value in attrs if name in {"src", "href", "srcset", "action"} or name[:2] == "on"
        ]

    def handle_endtag(self, tag):
        if tag not in {"rect", "line", "circle", "br"}:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def early(status="budget_exceeded") -> SessionResult:
    """Ended before the benchmark."""
    dead = model("solo", None, status=status, why="the money is spent", iterations=(
        step("solo", 0.4, phase=TrainingPhase.BASELINE),))  # fmt: skip
    return session(dead, status=status, why="what is left buys nothing")


def test_markdown_has_the_documented_shape():
    text = rich_text()
    lines = text.splitlines()
    assert lines[0] == "# Training Session Report"
    assert re.fullmatch(r"Generated: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", lines[2])
    assert "## Best Performing Model: strong" in lines
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == [
        "## Best Performing Model: strong", "## Training Summary", "## Ranking", "## What the training brought",
        "## Model Comparison", "## Cross-model Learning", "## Iteration Details", "## Configuration",
    ]  # fmt: skip
    at = lines.index("### cheap")
    assert [line.partition(":")[0] for line in lines[at + 2 : at + 8]] == [
        "- Iterations", "- Avg Quality", "- Avg Latency", "- Total Cost", "- Convergence Rate", "- Improvement Rate",
    ]  # fmt: skip
    assert lines[at + 3] == "- Avg Quality: 0.7375"
    assert "| Iteration | Model | Phase | Quality | Latency | Cost |" in lines
    config = text.partition("```json\n")[2].partition("\n```")[0]
    assert json.loads(config)["cost_budget"] == 5.0


def test_every_table_of_the_markdown_keeps_its_columns():
    """The model `weak <b>|model` would break rows and open a tag."""
    text = rich_text().partition("```json")[0]
    width = 0
    for line in text.splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line))
            width = width or cells
            assert cells == width, line
        else:
            width = 0
    assert "<b>" not in text
    assert "<script>" not in text


def test_markdown_shows_the_last_twenty_iterations_and_json_all():
    result = rich()
    table = rich_text().partition("## Iteration Details")[2].partition("## Configuration")[0]
    assert sum(line.startswith("| ") for line in table.splitlines()) == 21
    found = as_json(result)
    assert sum(len(one["iterations"]) for one in found["session"]["models"]) == len(result.iterations) == 244
    assert SessionResult.from_dict(found["session"]) == result


def test_json_carries_the_decision_and_all_sixteen_figures():
    result = rich()
    found = json.loads(json.dumps(as_json(result)))
    assert found["decision"] == json.loads(json.dumps(decide(result).to_dict()))
    assert found["decision"]["recommended"] == "cheap"
    quality, taken = (found["session"]["models"][0]["iterations"][0][part] for part in ("quality", "performance"))
    learnt = found["measures"]["strong"]["training"]
    assert set(quality) == {"score", "accuracy", "coherence", "relevance", "diversity", "creativity"}
    assert set(taken) == {"latency", "throughput", "tokens_used", "cost", "memory_usage", "error_rate"}
    assert set(learnt) == {"convergence_rate", "improvement_rate", "cost_efficiency", "learning_speed"}
    assert found["measures"]["strong"]["performance"]["error_rate"] == pytest.approx(0.03)
    assert found["comparison"]["cheap"]["avg_quality_score"] == pytest.approx(0.7375)


def test_the_page_is_whole_fetches_nothing_and_escapes_strangers():
    source = rich_page()
    page = Page(source)
    assert page.open == []
    assert page.fetched == []
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "default-src 'none'" in source
    assert "url(" not in source
    assert "prefers-color-scheme: dark" in source
    assert "weak <b>|model" in page.text
    assert "<script>alert(1)</script>" in page.text


def test_the_page_shows_what_was_decided():
    result = rich()
    page, decision = Page(rich_page()), decide(result)
    for words in (*decision.sentence.split(". "), decision.non_inferiority, "Cheaper, no difference shown", "$0.75"):
        assert words in page.text
    for chart in ("ranking-chart", "front-chart", "latency-chart", "curves-chart", "spend-chart"):
        assert f'class="{chart}"' in rich_page()
    assert page.text.count("strong") > 5
    assert "converged by plateau after round 4" in page.text


@pytest.mark.parametrize("status", ["budget_exceeded", "stopped", "timeout", "failed"])
def test_a_session_that_ended_early_has_a_report_that_says_so(status):
    result = early(status)
    text, page = markdown(result), Page(html(result))
    assert "No model was measured on the sealed examples, so none is recommended." in text
    assert "## Best Performing Model: none was benchmarked" in text
    for words in ("The session did not come to its end", "what is left buys nothing", "the money is spent"):
        assert words in text
        assert words in page.text
    assert "Nothing benchmarked" in page.text
    assert "## Ranking" not in text
    assert "0.4000" in text


def test_a_session_without_a_single_figure_still_has_a_report():
    empty = session(
        model("a", None, iterations=(), dev_curve=(), latencies_ms=(), best_prompt=""), phases=(), total_cost_usd=0.0,
        budget_usd=None,
    )  # fmt: skip
    assert Page(html(empty)).open == []
    assert "- Iterations: 0" in markdown(empty)
    one = session(model("a", sealed([1.0])))
    assert "nothing to compare it with" in markdown(one)
    assert Page(html(one)).open == []


def test_no_secret_reaches_any_form(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", OWN)
    result = rich()
    leaky = replace(
        result.models[3],
        why=f"401 for {KEY}",
        best_prompt=f"Use {OWN}",
        iterations=(replace(step("dead", 0.1, phase=TrainingPhase.BASELINE), output=f"key {KEY} and {OWN}"),),
    )
    result = replace(
        result, models=(*result.models[:3], leaky), config={"models": [], "note": f"Bearer {KEY}"}, why=f"see {OWN}"
    )
    files = write_reports(result, tmp_path)
    for text in (markdown(result), html(result), json.dumps(as_json(result)),
                 *(file.read_text("utf-8") for file in (files.html, files.markdown, files.json))):  # fmt: skip
        assert KEY not in text
        assert OWN not in text
        assert "[redacted]" in text or "\\[redacted\\]" in text


def test_a_secret_of_the_session_alone_is_taken_out_by_its_own_redactor():
    result = session(model("a", sealed([1.0]), best_prompt="the word is plainwordsecret"))
    assert "plainwordsecret" in html(result)
    assert "plainwordsecret" not in html(result, redact=Redactor(["plainwordsecret"]))


def test_files_are_written_whole_and_an_unwritable_directory_is_said(tmp_path):
    files = write_reports(rich_session(), tmp_path / "deep" / "er", name="dspy-training-report")
    assert sorted(file.name for file in (tmp_path / "deep" / "er").iterdir()) == [
        "dspy-training-report.html", "dspy-training-report.json", "dspy-training-report.md",
    ]  # fmt: skip
    assert json.loads(files.json.read_text())["format"] == "strop.session/1"
    assert "cheap" in files.html.read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable, match="session s1"):
        write_reports(rich_session(), tmp_path / "file")


def test_notes_name_what_limits_the_claims():
    result = rich()
    task = replace(result.task, metric=None)
    text = markdown(replace(result, task=task, practice=True, looks=3))
    for words in ("nothing here knows what is right", "practice prices", "opened 3 times"):
        assert words in text
    assert "nothing here knows" not in markdown(result)


def test_the_note_on_practice_models_is_about_the_models_that_were_measured():
    note = "scores say nothing about real models"
    offline, real = (model(name, sealed([1.0] * 12), model=f"{kind}/{name}") for name, kind in
                     (("a", "embedded"), ("b", "sim")))  # fmt: skip
    down = replace(real, best_test=None, baseline_test=None, status="failed")
    assert note in markdown(session(offline, down))
    assert note in Page(html(session(offline, down))).text
    assert note not in markdown(session(offline, real))
    assert note not in markdown(session(down))


def test_markdown_and_the_page_give_the_same_figures_of_a_model():
    """The ledger's 0.25 and 0.05 uncertain, whatever the iterations cost; 0.75 for $0.30 is 2.5 per $1."""
    solo = model(
        "solo", sealed([1.0, 0.0, 1.0, 1.0]), dev_curve=(0.4, 0.5, 0.6), iterations=(step("solo", 0.9, cost=0.01),),
        spending=Spending(calls=9, cost_usd=0.25, uncertain_usd=0.05),
        convergence=Convergence(reason="plateau", round=2, iterations=1, score=0.6),
    )  # fmt: skip
    result = session(solo)
    lines = markdown(result).partition("### solo")[2].splitlines()
    assert [line for line in lines if line.startswith("- ")][3:8] == [
        "- Total Cost: $0.30", "- Convergence Rate: 0.1500", "- Improvement Rate: +50.0%",
        "- Cost Efficiency: 2.5 per $1", "- Learning Speed: 1 step to the last gain",
    ]  # fmt: skip
    page = html(result)
    learnt, took = (page.partition(f">{head}</h")[2] for head in ("The models", "What they took"))
    row = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", learnt.partition("</tbody>")[0])]
    assert row[2:] == ["round 1", "+15.0", "+50.0%", "2.5 per $1"]
    assert re.findall(r"<td.*?</td>", took.partition("</tbody>")[0])[-1] == '<td class="num">$0.30</td>'


def test_many_models_have_colours_and_hostile_names_stay_text():
    names = [f"m{k} --> </svg><script>x</script>" for k in range(COLOURS + 2)]
    many = session(*(model(name, sealed([1.0] * 12 + [0.0] * k)) for k, name in enumerate(names)))
    many = replace(many, models=tuple(
        replace(one, best_test=sealed([1.0] * 12 + [0.0] * 4)) for one in many.models))  # fmt: skip
    assert set(colours_of(many.models).values()) == set(range(COLOURS))
    page = Page(html(many))
    assert page.open == []
    assert "script" not in page.tags


def test_names_that_share_their_ends_stay_apart_when_shortened():
    long = [f"meta-llama/Llama-3.3-{size}-Instruct-{kind}" for size in ("8B", "70B") for kind in ("Turbo", "Fast")]
    assert shortened("gpt-4.1", 28) == "gpt-4.1"
    short = [shortened(name, 28) for name in (long[0], long[1])]
    assert len(set(short)) == 2
    assert {len(name) for name in short} == {28}


def test_labels_of_dots_that_lie_together_do_not_cover_each_other():
    """Six models, two of each kind, as close as models of one price are."""
    dots = {f"a-model-of-some-{n}": (10.0 + (n // 2) / 3, 200.0 - 3 * n, 8.0) for n in range(6)}
    places = _labels(dots)
    boxes = [_box(place, LETTER * len(words)) for words, place in places.items()]
    assert set(places) == set(dots)
    for one, other in combinations(boxes, 2):
        assert not _any_overlap(one, [other])


def test_what_was_never_measured_and_what_costs_are_for_is_said():
    result = rich()
    same = replace(result.transfers[0], n=0, kept=False, why="it has the same already")
    made = replace(result, transfers=(same,), task=replace(result.task, binary=True))
    text = markdown(made)
    row = next(line for line in text.splitlines() if "it has the same already" in line)
    assert "| – | 0 | no |" in row
    assert "1,000 right answers" in text
    assert "1,000 right answers" in Page(html(made)).text
    graded = replace(made, task=replace(result.task, binary=False))
    assert "A total score of 1,000" in markdown(graded)
    ranked = decide(graded).comparison.ranking[0]
    assert ranked.cost_per_quality is not None
    assert f"| {money(1000 * ranked.cost_per_quality)} |" in markdown(graded)
