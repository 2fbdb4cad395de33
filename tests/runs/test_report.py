"""The report: what it says of each outcome, what it lets through, and how it reaches the disk."""

from __future__ import annotations

import copy
import re
import resource
import signal
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import StoreUnwritable
from strop.runs import report_words as words
from strop.runs.charts import interval_chart, outcome_chart, search_chart, spend_chart
from strop.runs.journal import Journal
from strop.runs.prompt_diff import compare_prompts
from strop.runs.report import render, write_report
from strop.runs.runner import RunResult
from strop.store import Store
from tests.runs import report_samples as samples

VOID = {"meta", "line", "rect", "circle", "br", "input", "hr", "img", "link"}


class Page(HTMLParser):
    """What a browser would make of a page: its text, its tags, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "title"}:
            self.texts.append(data)


def page(data: Mapping[str, Any]) -> Page:
    read = Page(render(data))
    assert read.open == []
    return read


def test_an_improvement_says_what_was_measured() -> None:
    text = page(samples.improved()).text
    for told in (
        "scores 69.6% where the old one scored 62.1%, on 240 examples",
        "+7.5 points (95% interval +0.9 to +14.0)",
        "p = 0.016 against 0.0304 (exact McNemar, one-sided)",
        "about 8.3 points",
        "Version 2 is the active version.",
        "126 right both times",
        "23 broke",
        "41 fixed",
        "50 wrong both times",
        "price table of 2026-10-01",
    ):
        assert told in text


def test_embedded_models_are_labelled_and_real_ones_are_not() -> None:
    assert page(samples.improved()).text.count("Scores say nothing about real models.") == 2
    assert "Practice prices, never billed." in page(samples.improved()).text
    real = page(samples.failed()).text
    assert "Scores say nothing" not in real
    assert "never billed" not in real


def test_a_failed_run_names_its_cause_and_shows_no_number_that_was_not_measured() -> None:
    text = page(samples.failed()).text
    assert "The run failed: model 'openai/gpt-4o-mini' cannot be used: 14 of 80 calls got no answer" in text
    assert "The sealed test was not opened, so nothing is proven." in text
    assert "strop optimize --resume kq7wz3fa" in text
    for absent in ("Improved", "69.6%", "95% interval", "p-value", "active version", "None", "nan", "Undefined"):
        assert absent not in text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("cancelled", "The run was cancelled."),
        ("timeout", "The time was over."),
        ("budget_exceeded", "The budget was spent."),
        ("infeasible", "No program satisfies the constraints."),
    ],
)
def test_an_early_end_is_said_plainly(status: str, said: str) -> None:
    data = {**samples.failed(), "status": status, "error": None}
    text = page(data).text
    assert said in text
    assert "not opened" in text


def test_a_run_that_died_before_its_first_score_still_makes_a_page() -> None:
    data = samples.failed()
    data.update(dev=None, prompt={"before": None, "after": None}, ledger=[], candidates=[], findings=[])
    data["per_request"] = dict.fromkeys(data["per_request"])
    data["cost"].update(calls=0, paid_calls=0, usd=0.0, budget_usd=None)
    text = page(data).text
    assert "nothing was measured to the end" in text
    assert "No model was called." in text
    assert "None" not in text


def test_no_evidence_is_not_dressed_up() -> None:
    data = samples.improved()
    data.update(verdict="NO EVIDENCE", active_version=1)
    data["test"].update(change=0.01, optimized=0.6308, ci95=[-0.021, 0.0614], p_value=0.3641, reason="could be -2 to 6")
    told = page(data)
    assert "No gain is proven: 63.1% where the old one scored 62.1%" in told.text
    assert "anywhere from −2.1 to +6.1 points" in told.text
    assert "Version 2 is kept; version 1 stays active." in told.text
    assert "p = 0.36" in told.text


def test_an_unchanged_program_is_called_so() -> None:
    data = samples.improved()
    data.update(verdict="NO EVIDENCE", version=1, active_version=1, changes=[])
    data["prompt"]["after"] = data["prompt"]["before"]
    data["test"].update(optimized=data["test"]["baseline"], change=0.0, fixed=0, broke=0, ci95=[-0.01, 0.01])
    assert "found nothing better than the program it began with" in page(data).text


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>{{ 7*7 }}{% raw %}</style></svg>&\x00\u202e"


def test_hostile_text_stays_text() -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(one) for key, one in value.items()}
        if isinstance(value, list):
            return [poison(one) for one in value]
        return value + HOSTILE if isinstance(value, str) else value

    for sample in (samples.improved(), samples.failed()):
        clean, dirty = page(sample), page({**poison(sample), "status": sample["status"], "verdict": sample["verdict"]})
        assert "script" not in {tag for tag, _ in dirty.tags}
        assert {tag for tag, _ in dirty.tags} <= {tag for tag, _ in clean.tags}
        assert not [name for _, attributes in dirty.tags for name in attributes if name.startswith("on")]
        assert "alert(1)" in dirty.text
        assert "{{ 7*7 }}" in dirty.text


def test_nothing_is_fetched_and_no_script_may_run() -> None:
    read = page(samples.improved())
    policy = [a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in read.tags}
    assert not [a for _, a in read.tags if "src" in a or "href" in a]
    assert "http" not in re.sub(r"http-equiv", "", render(samples.improved()))


def test_huge_texts_do_not_make_a_huge_page() -> None:
    data = samples.improved()
    huge = "x" * 2000
    data["changes"] = [
        {**one, "inputs": {"a": huge, "b": huge}, "before": {"c": huge}, "after": {"c": huge}, "reason": huge}
        for one in data["changes"] * 4
    ][:200]
    data["prompt"] = {"before": "word " * 40_000, "after": "other words " * 40_000}
    data["error"] = "y" * 100_000
    data["candidates"] = [{**data["candidates"][0], "number": at, "origin": huge} for at in range(2000)]
    data["findings"] = [{**data["findings"][0], "message": huge} for _ in range(100)]
    html = render(data)
    assert len(html.encode()) < 600_000
    assert "more characters" in html


def test_a_normal_page_is_small_and_can_be_read_with_a_screen_reader() -> None:
    html = render(samples.improved())
    assert len(html.encode()) < 300_000
    read = page(samples.improved())
    levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    charts = [attributes for tag, attributes in read.tags if tag == "svg" and attributes.get("aria-hidden") != "true"]
    assert len(charts) == 5
    assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in charts)
    assert all("scope" in attributes for tag, attributes in read.tags if tag == "th")


def test_the_first_twenty_examples_are_in_sight_and_broken_ones_come_first() -> None:
    html = render(samples.improved())
    before_details = html[html.index('id="examples"') :]
    assert before_details.index("Broke: 23") < before_details.index("Fixed: 41")
    in_sight = re.sub(r"<details[^>]*>.*?</details>", "", before_details, flags=re.S)
    assert in_sight.count('class="box example broke"') == 10
    assert in_sight.count('class="box example fixed"') == 10
    assert before_details.count("<article") == 64


def test_the_interval_is_drawn_where_it_lies() -> None:
    """The chart is a ruler: equal steps of change are equal steps across, and zero is where it says."""
    svg = interval_chart({"ci95": [-0.02, 0.06], "change": 0.02, "detectable_gain": None})
    zero = float(re.search(r'class="zero" x1="([\d.]+)%', svg)[1])  # type: ignore[index]
    ends = [float(x) for x in re.findall(r'class="interval-end" x1="([\d.]+)%', svg)]
    middle = float(re.search(r'class="estimate" cx="([\d.]+)%', svg)[1])  # type: ignore[index]
    assert ends[0] < zero < middle < ends[1]
    assert (ends[1] - zero) / (zero - ends[0]) == pytest.approx(3, rel=0.01)
    assert middle == pytest.approx(sum(ends) / 2, abs=0.02)


@given(
    low=st.floats(-1, 1), high=st.floats(-1, 1), detectable=st.none() | st.floats(0, 1),
    scores=st.lists(st.none() | st.floats(0, 1), max_size=8),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_charts_stay_inside_their_frame(
    low: float, high: float, detectable: float | None, scores: list[float | None]
) -> None:
    low, high = sorted((low, high))
    test = {"ci95": [low, high], "change": (low + high) / 2, "detectable_gain": detectable}
    candidates = [
        {"number": at + 1, "score": score, "n": 5, "origin": "o", "chosen": at == 0} for at, score in enumerate(scores)
    ]
    for svg in (interval_chart(test), search_chart(candidates, {"n": 10, "baseline": 0.5})):
        places = [float(x) for x in re.findall(r'(?:x|x1|x2|cx)="(-?[\d.]+)%"', svg)]
        assert all(0 <= place <= 100 for place in places)
        assert "nan" not in svg


@pytest.mark.parametrize(("last", "shown"), [(1, ["1"]), (2, ["1", "2"]), (5, ["1", "2", "3", "4", "5"])])
def test_the_search_chart_counts_candidates_that_there_are(last: int, shown: list[str]) -> None:
    rows = [{"number": number, "score": 0.5, "n": 10, "origin": "o"} for number in range(1, last + 1)]
    svg = search_chart(rows, {"n": 10, "baseline": 0.5})
    assert re.findall(r'y="238\.0"[^>]*>([^<]*)<', svg) == shown


def test_a_two_by_two_picture_needs_right_and_wrong() -> None:
    test = samples.improved()["test"]
    assert outcome_chart({**test, "method": "paired t and bootstrap-t, one-sided"}) == ""
    assert spend_chart([]) == ""


def test_spend_is_divided_in_proportion() -> None:
    svg = spend_chart(samples.improved()["ledger"])
    widths = {
        told: float(width)
        for told, width in re.findall(r"<title>([^<]*embedded[^<]*)</title><rect[^>]* width=\"([\d.]+)%", svg)
    }
    assert widths["Search, embedded/small: $3.00"] == pytest.approx(100 * 3.0 / 3.6, abs=0.01)
    assert widths["Search, embedded/large: $0.60"] == pytest.approx(100 * 0.6 / 3.6, abs=0.01)
    assert widths["Sealed test, embedded/small: $0.32"] == pytest.approx(100 * 0.32 / 3.6, abs=0.01)


def test_the_ledger_table_adds_up() -> None:
    html = render(samples.improved())
    foot = re.search(r"<tfoot>(.*?)</tfoot>", html, re.S)
    assert foot is not None
    assert re.findall(r'<td class="num">([^<]*)</td>', foot[1]) == [
        "6,218", "1,310", "4,908", "274,000", "18,800", "$4.12",
    ]  # fmt: skip


def test_prompts_are_compared_by_word_and_demos_are_told_from_instructions() -> None:
    after = "Name the right section.\n\nExample 1\nis part of the text\n\nExample 1\nq: a\n\nExample 2\nq: b"
    (part,) = compare_prompts("Name the section.", after, ["self"])
    assert part.demos_before == ()
    assert part.demos_after == ("q: a", "q: b")
    assert part.together is not None
    assert part.together.startswith("Name the <ins>right </ins>section.")
    (unrelated,) = compare_prompts("Name the section.", "Zwölf Boxkämpfer jagen Viktor quer", ["self"])
    assert unrelated.together is None


def test_prompts_of_several_predictors_are_paired_by_name() -> None:
    parts = compare_prompts("# plan\n\nThink.\n\n# act\n\nDo.", "# plan\n\nThink.\n\n# act\n\nDo it.", ["plan", "act"])
    assert [(part.name, part.changed) for part in parts] == [("plan", False), ("act", True)]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0004, "< 0.001"), (0.0163, "= 0.016"), (0.36411, "= 0.36"), (None, "–"), (True, "–")]
)
def test_p_values_have_sensible_digits(value: object, shown: str) -> None:
    assert words.p_value(value) == shown


def test_numbers_have_sensible_digits() -> None:
    assert words.points(-0.0001) == "+0.0"
    assert words.points(-0.0213) == "−2.1"
    assert words.relative(0.0021, 0.0026) == "+24%"
    assert words.relative(0.0, 1.0) == ""
    assert words.seconds(3725) == "1 h 02 min"
    assert words.milliseconds(4213.0) == "4.21 s"
    assert words.money(float("nan")) == "–"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Store.open(tmp_path / "strop.db") as store:
        yield Journal(store)


def result(data: Mapping[str, Any]) -> RunResult:
    return RunResult(run_id="kq7wz3fa", status="completed", verdict="IMPROVED", data=data)


def test_page_and_data_are_written_together(tmp_path: Path, journal: Journal) -> None:
    given_data = samples.improved()
    written = write_report(result(given_data), tmp_path / "reports", journal)
    html, json = tmp_path / "reports/kq7wz3fa.html", tmp_path / "reports/kq7wz3fa.json"
    assert written.data["report"] == str(html)
    assert orjson.loads(json.read_bytes()) == written.data
    assert "Improved" in html.read_text(encoding="utf-8")
    assert given_data["report"] is None
    assert sorted(one.name for one in html.parent.iterdir()) == ["kq7wz3fa.html", "kq7wz3fa.json"]


def test_a_run_of_the_journal_adds_its_settings(tmp_path: Path, journal: Journal) -> None:
    record = journal.create(
        task="t", algorithm="copro", spec={"gate": {"policy": "manual"}, "models": {"task": {"api_base": "http://u:pw@h"}}},
        directory=None, data_fingerprint="f" * 64,
    )  # fmt: skip
    written = write_report(
        RunResult(run_id=record.id, status="failed", verdict=None, data={**samples.failed(), "run_id": record.id}),
        tmp_path, journal,
    )  # fmt: skip
    html = Path(written.data["report"]).read_text(encoding="utf-8")
    assert "policy manual" in html
    assert "came from Python" in html
    assert "--resume" not in html
    assert "f" * 64 in html
    assert "pw@" not in html


def test_a_fenced_run_writes_nothing(tmp_path: Path, journal: Journal) -> None:
    fenced = RunResult(run_id="kq7wz3fa", status="failed", verdict=None, data={})
    assert write_report(fenced, tmp_path / "reports", journal) is fenced
    assert not (tmp_path / "reports").exists()


def test_a_place_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StoreUnwritable, match="kq7wz3fa") as refused:
        write_report(result(samples.improved()), tmp_path / "file" / "reports", journal)
    assert "strop runs report kq7wz3fa" in str(refused.value.hint)


def test_a_failed_write_leaves_the_old_page_whole(tmp_path: Path, journal: Journal) -> None:
    """A file may grow to 20 kB only, as on a disk that fills up in the middle of the page."""
    write_report(result(samples.improved()), tmp_path, journal)
    old = (tmp_path / "kq7wz3fa.html").read_bytes()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 * 1024, limits[1]))
        with pytest.raises(StoreUnwritable):
            write_report(result({**samples.improved(), "task": "other"}), tmp_path, journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "kq7wz3fa.html").read_bytes() == old
    assert not [one.name for one in tmp_path.iterdir() if one.name.startswith(".kq")]


def test_rendering_does_not_change_what_it_is_given() -> None:
    data = samples.improved()
    kept = copy.deepcopy(data)
    render(data)
    assert data == kept
