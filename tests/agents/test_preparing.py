"""Preparing filters, shortens, writes and divides, says what it did, and never does it twice."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strop.agents import AgentArchive, Labels, PrepareSettings, Step, prepare
from strop.agents.example import make_example
from strop.agents.outcome import Evidence, Outcome
from strop.agents.splitting import divide
from strop.errors import DataError
from strop.store import Store
from tests.agents.turns import NOON, bash, transcript, turn

WORDS = ("invoice", "basket", "login", "search", "parser", "cache", "mailer", "report", "upload", "queue", "theme",
         "cursor", "ledger", "printer", "socket", "router", "avatar", "coupon", "ticket", "backup")  # fmt: skip


@pytest.fixture
def archive():
    with Store.open(":memory:") as store:
        yield AgentArchive(store)


def place(tmp_path: Path, **more) -> PrepareSettings:
    return PrepareSettings(processed_dir=tmp_path / "processed", splits_dir=tmp_path / "splits", **more)


def fill(archive: AgentArchive, count: int = 20, exit_code: int | None = 0) -> None:
    for number in range(count):
        at = NOON + timedelta(hours=number)
        task = f"Rework the {WORDS[number]} so that {WORDS[number - 1]} errors are shown"
        archive.add(transcript(turn(task, bash("pytest", exit_code), started=at), id=f"s{number:02}", started=at))


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_documents_file_and_splits_are_written(archive, tmp_path: Path):
    fill(archive)
    report = prepare(archive, place(tmp_path))
    assert (report.sessions, report.successful_sessions, report.examples) == (20, 20, 20)
    examples = json.loads((tmp_path / "processed" / "examples.json").read_text())
    assert len(examples) == 20
    assert list(examples[0])[:6] == ["task", "context", "actions", "expected_response", "success", "metrics"]
    assert examples[0]["actions"] == [
        {"tool": "bash", "args": {"command": "pytest"}, "success": True, "status": "ok", "exit_code": 0}
    ]
    assert examples[0]["success"] is True
    assert examples[0]["outcome"]["evidence"][0]["text"] == "test `pytest` exited with 0"
    sizes = {name: len(rows(tmp_path / "splits" / f"{name}.jsonl")) for name in ("train", "dev", "test")}
    assert sizes == {"train": 4, "dev": 8, "test": 8} == {"train": report.train, "dev": report.dev, "test": report.test}


def test_the_past_is_train_and_the_newest_is_the_sealed_test(archive, tmp_path: Path):
    fill(archive)
    prepare(archive, place(tmp_path))
    train, dev, test = (
        [row["started"] for row in rows(tmp_path / "splits" / f"{name}.jsonl")] for name in ("train", "dev", "test")
    )
    assert max(train) < min(dev)
    assert max(dev) < min(test)


def test_an_argument_is_cut_at_200_characters(archive, tmp_path: Path):
    step = Step(tool="write", arguments={"content": "x" * 201, "deep": ["y" * 200, {"z": "z" * 999}]}, status="ok")
    archive.add(transcript(turn("write it", step, bash("pytest", 0))))
    archive.add(transcript(turn("another thing", bash("pytest", 0)), id="s2"))
    prepare(archive, place(tmp_path, min_examples=1))
    args = json.loads((tmp_path / "processed" / "examples.json").read_text())[0]["actions"][0]["args"]
    assert args == {"content": "x" * 197 + "...", "deep": ["y" * 200, {"z": "z" * 197 + "..."}]}


def test_the_same_input_is_reused_and_any_change_is_not(archive, tmp_path: Path):
    fill(archive)
    first = prepare(archive, place(tmp_path))
    file = tmp_path / "processed" / "examples.json"
    before = file.stat().st_mtime_ns
    again = prepare(archive, place(tmp_path))
    assert (first.reused, again.reused, file.stat().st_mtime_ns) == (False, True, before)
    assert (again.train, again.dev, again.test, again.notes) == (first.train, first.dev, first.test, first.notes)
    content = file.read_bytes()
    file.write_text("[]")
    assert not prepare(archive, place(tmp_path)).reused
    assert file.read_bytes() == content
    assert not prepare(archive, place(tmp_path, seed=7)).reused
    label = Evidence(kind="label_file", says=False, where="l:1", text="labelled")
    archive.label(Labels(rows={("s00", None): label}))
    changed = prepare(archive, place(tmp_path, seed=7))
    assert (changed.reused, changed.examples, changed.failed) == (False, 19, 1)


def test_success_is_asked_of_each_example_or_of_its_session(archive, tmp_path: Path):
    fill(archive, 10)
    archive.add(transcript(turn("alpha task", bash("pytest", 0)), turn("omega work", bash("pytest", 1)), id="mixed"))
    archive.add(transcript(turn("beta task", bash("pytest", 0)), turn("gamma", bash("ls", 0)), id="fine"))
    each = prepare(archive, place(tmp_path))
    assert (each.examples, each.successful, each.failed, each.unknown) == (12, 12, 1, 1)
    whole = prepare(archive, place(tmp_path, success_of="session"))
    assert (whole.examples, whole.successful_sessions) == (12, 11)
    tasks = {row["task"] for row in json.loads((tmp_path / "processed" / "examples.json").read_text())}
    assert "gamma" in tasks
    assert "alpha task" not in tasks
    assert prepare(archive, place(tmp_path, require_success=False)).examples == 14


def test_filters(archive, tmp_path: Path):
    fill(archive, 12)
    more = {"agent": "plan", "client": "codex", "directory": "/p/x"}
    for number, efficiency in enumerate((0.2, 0.9)):
        extra = {"evaluation": {"efficiency": efficiency, "correctness": 1}}
        one = turn(f"{WORDS[number]} again", bash("pytest", 0), extra=extra)
        archive.add(transcript(one, id=f"c{number}", **more))
    assert prepare(archive, place(tmp_path, client="codex", min_examples=1)).examples == 2
    assert prepare(archive, place(tmp_path, agents=("plan",), min_examples=1)).examples == 2
    assert prepare(archive, place(tmp_path, project="/p", min_examples=1)).examples == 2
    assert prepare(archive, place(tmp_path, min_efficiency=0.5)).examples == 13


def test_each_message_of_the_document_has_its_cause(archive, tmp_path: Path):
    with pytest.raises(DataError, match=r"^No session logs found in data/raw"):
        prepare(archive, place(tmp_path), looked_in="data/raw")
    fill(archive, 5, exit_code=1)
    with pytest.raises(DataError, match=r"^No successful sessions found\. Try setting require_success: false"):
        prepare(archive, place(tmp_path))
    with pytest.raises(DataError, match=r"^Only 5 examples found, need at least 10"):
        prepare(archive, place(tmp_path, require_success=False))
    assert not (tmp_path / "processed").exists()


def test_nothing_convertible_and_nothing_divisible(archive, tmp_path: Path):
    archive.add(transcript(turn("", bash("pytest", 0), answer="x")))
    with pytest.raises(DataError, match=r"^Failed to convert any examples"):
        prepare(archive, place(tmp_path))
    archive.add(transcript(*(turn(f"{word} work", bash("pytest", 0)) for word in WORDS), id="s2"))
    with pytest.raises(
        DataError, match=r"^Failed to create train/validation split: all examples belong to one session"
    ):
        prepare(archive, place(tmp_path))


def test_too_few_groups_have_no_test_set_and_that_is_said(archive, tmp_path: Path):
    fill(archive, 4)
    report = prepare(archive, place(tmp_path, min_examples=4))
    assert (report.train, report.dev, report.test) == (1, 3, 0)
    assert any("no sealed test set" in note for note in report.notes)


_TASKS = st.builds(
    lambda word, other, style: style.format(word, other),
    st.sampled_from(WORDS), st.sampled_from(WORDS),
    st.sampled_from(["Fix the {} of the {}", "fix the {}   of the {}!", "Add a test for {} and {}, please", "{} {}"]),
)  # fmt: skip


@given(
    st.lists(st.tuples(_TASKS, st.integers(0, 12), st.integers(0, 50)), min_size=2, max_size=40),
    st.sampled_from([(0.2, 0.4, 0.4), (0.7, 0.15, 0.15), (0.2, 0.8, 0.0)]),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_task_and_no_session_is_in_two_splits(given_rows, shares, seed, random):
    """Whatever the history: nothing is lost, nothing is twice, and its order on the way in does not matter."""
    examples = []
    for number, (task, session, hour) in enumerate(given_rows):
        at = NOON + timedelta(hours=hour)
        whole = transcript(
            turn(task, key=str(number), started=at), id=f"s{session}", parent="s0" if session == 1 else None
        )
        examples.append(make_example(whole, 0, Outcome(success=True, complete=True)))
    try:
        parts = divide(examples, shares, seed)
    except DataError:
        return
    by_id = {example.id: example for example in examples}
    split_of = {id: name for name, ids in parts.sets().items() for id in ids}
    assert sum(map(len, parts.sets().values())) == len(split_of) == len(by_id)
    assert parts.train
    assert parts.dev
    for what in (lambda one: one.family, lambda one: " ".join(one.task.lower().replace("!", "").split())):
        seen = {}
        for id, name in split_of.items():
            assert seen.setdefault(what(by_id[id]), name) == name
    shuffled = list(examples)
    random.shuffle(shuffled)
    assert divide(shuffled, shares, seed).sets() == parts.sets()


def test_a_turn_that_a_forked_session_repeats_is_taken_once(archive, tmp_path: Path):
    fill(archive)
    at = NOON + timedelta(hours=3)
    copied = turn(f"Rework the {WORDS[3]} so that {WORDS[2]} errors are shown", bash("pytest"), started=at)
    again = turn("Go on", bash("pytest"), started=at + timedelta(days=9))
    archive.add(transcript(copied, again, id="fork", started=at))
    report = prepare(archive, place(tmp_path))
    assert (report.found, report.examples) == (22, 21)
    assert "1 example was left out because a forked or resumed session repeats what is there" in report.notes
