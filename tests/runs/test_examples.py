"""The examples of `strop init`: they load, their data keep what their comments promise, copying destroys nothing."""

import csv
import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from strop import datasets, examples, metrics
from strop.errors import BadInput, NotFound, StoreUnwritable
from strop.runs.schema import schema_text
from strop.runs.taskfile import TaskFile, load_task

SHARED_SECTIONS = 795
ALTERNATIVE = re.compile(
    r"^(?P<indent> *)# (?P<key>task|prompt|algorithm|gate|metric|split|group|fields): (?P<value>\S.*)$"
)


@pytest.fixture(params=examples.names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def task(name: str, tmp_path: Path) -> TaskFile:
    examples.copy(name, tmp_path / "new" / "dir")
    return load_task(tmp_path / "new" / "dir")


def rows(task: TaskFile) -> list[dict[str, str]]:
    path = task.resolve(task.spec.data.file or "")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    return [json.loads(line) for line in text.splitlines()]


def fields(task: TaskFile) -> tuple[list[str], list[str]]:
    inputs, outputs = task.spec.signature.split("->")
    return [part.strip() for part in inputs.split(",")], [outputs.split(":")[0].strip()]


def load(task: TaskFile) -> datasets.Dataset:
    inputs, labels = fields(task)
    source = task.resolve(task.spec.data.file or "")
    return datasets.load(source, inputs=inputs, labels=labels, fields=task.spec.fields, id_field=task.spec.data.id)


def test_the_names() -> None:
    assert examples.names() == (
        "package-sections", "extractive-qa", "iris", "summarisation", "ticket-routing",
    )  # fmt: skip
    assert examples.names()[0] == examples.DEFAULT


def test_each_is_described_in_one_sentence(name: str) -> None:
    assert re.fullmatch(r"[A-Z][^.\n]{20,110}\.", examples.describe(name))


def test_each_runs_offline_within_a_budget(task: TaskFile, name: str) -> None:
    spec = task.spec
    assert spec.task == name
    assert (spec.models.task.model, spec.models.prompt and spec.models.prompt.model) == (
        "embedded/small",
        "embedded/large",
    )
    assert spec.budget_usd == 1.0
    # by name only: building `rouge` imports nltk for seconds
    assert spec.metric in metrics.CATALOGUE


def test_each_fits_the_schema_that_it_names(task: TaskFile) -> None:
    text = task.path.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=./strop.schema.json"
    schema = json.loads((task.directory / "strop.schema.json").read_text(encoding="utf-8"))
    assert schema == json.loads(schema_text())
    jsonschema.validate(YAML(typ="safe").load(text), schema)


def test_what_is_commented_out_would_work(task: TaskFile) -> None:
    lines = task.path.read_text(encoding="utf-8").splitlines()
    found = [(at, match) for at, line in enumerate(lines) if (match := ALTERNATIVE.match(line))]
    assert len(found) >= 5
    for at, match in found:
        active = f"{match['indent']}{match['key']}:"
        # the top-level `task` is a name, that of `models` is a model
        changed = [
            line for line in lines[:at] if not (line.startswith(active) and (match["indent"] or match["key"] != "task"))
        ]
        rest = [line for line in lines[at + 1 :] if not line.startswith(active)]
        text = "\n".join([*changed, f"{active} {match['value']}", *rest])
        task.path.write_text(text, encoding="utf-8")
        load_task(task.directory)
    block = "\n".join(lines)
    start = block.index("# constraints:")
    end = block.index("\n\n", start)
    uncommented = block[start:end].replace("# ", "", 1).replace("\n# ", "\n")
    task.path.write_text(block[:start] + uncommented + block[end:], encoding="utf-8")
    assert load_task(task.directory).spec.constraints.min_accuracy == 0.6


def test_labels_are_those_of_the_signature(task: TaskFile) -> None:
    (label,) = fields(task)[1]
    values = {example.labels[label] for example in load(task)}
    allowed = re.findall(r"'([^']+)'", task.spec.signature)
    assert not allowed or set(allowed) == values


def test_the_split_is_large_enough_and_nothing_leaks(task: TaskFile) -> None:
    split = datasets.split(load(task), seed=task.spec.seed)
    assert min(len(part) for _, part in split.sets()) >= 40
    findings = datasets.check(split, algorithm="miprov2")
    assert not [finding for finding in findings if finding.level == "error"]
    assert not [finding for finding in findings if finding.code in {"conflicting_labels", "empty_fields"}]


def test_ids_are_unique(task: TaskFile) -> None:
    ids = [row["id"] for row in rows(task)]
    assert len(set(ids)) == len(ids)


def example(name: str, directory: Path) -> list[dict[str, str]]:
    examples.copy(name, directory)
    return rows(load_task(directory))


def test_package_sections_is_the_whole_real_set(tmp_path: Path) -> None:
    data = example("package-sections", tmp_path)
    counts = Counter(row["section"] for row in data)
    assert len(data) == SHARED_SECTIONS
    assert counts.pop("database") == 25
    assert set(counts.values()) == {110}


def test_tickets_are_many_varied_and_balanced(tmp_path: Path) -> None:
    data = example("ticket-routing", tmp_path)
    assert len(data) == 400
    assert all(70 <= count <= 90 for count in Counter(row["team"] for row in data).values())
    assert len({row["message"] for row in data}) == len(data)
    assert len(set(" ".join(row["message"] for row in data).lower().split())) > 900


def test_answers_are_spans_of_their_context(tmp_path: Path) -> None:
    data = example("extractive-qa", tmp_path)
    assert len(data) == 300
    assert all(row["answer"] in row["context"] for row in data)
    assert len({row["question"] for row in data}) > 80
    assert max(len(row["answer"].split()) for row in data) <= 4


def test_summaries_are_one_short_sentence_out_of_the_text(tmp_path: Path) -> None:
    for row in example("summarisation", tmp_path):
        facts = re.findall(r"\b(?:[A-Z]\w+|\d[\d.,]*\d|\d)\b", row["summary"][1:])
        assert len(facts) >= 1, row
        assert [fact for fact in facts if fact not in row["text"]] == [], row
        assert len(row["summary"]) < 0.6 * len(row["text"]), row
        assert row["summary"].count(". ") == 0


def test_iris_is_fishers(tmp_path: Path) -> None:
    # the file itself: importing scikit-learn takes seconds
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    published = Path(package.origin).parent / "datasets" / "data" / "iris.csv"
    (_, _, *kinds), *flowers = csv.reader(published.read_text(encoding="utf-8").splitlines())
    expected = [([float(number) for number in flower[:4]], kinds[int(flower[4])]) for flower in flowers]
    found = [
        ([float(number) for number in re.findall(r"\d\.\d", row["measurements"])], row["species"])
        for row in example("iris", tmp_path)
    ]
    assert found == expected


def test_copy_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "strop.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "unrelated.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        examples.copy("iris", tmp_path)
    assert str(tmp_path / "strop.yaml") in str(caught.value)
    assert "unrelated" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["strop.yaml", "unrelated.txt"]
    (tmp_path / "strop.yaml").unlink()
    written = examples.copy("iris", tmp_path)
    assert [path.name for path in written] == ["iris.csv", "strop.schema.json", "strop.yaml"]


def test_copy_follows_no_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput):
        examples.copy("iris", tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_copy_into_a_file_or_under_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput):
        examples.copy("iris", tmp_path / "file")
    with pytest.raises(StoreUnwritable):
        examples.copy("iris", tmp_path / "file" / "below")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        examples.copy("ticket-rooting", "/nowhere")
    assert "did you mean 'ticket-routing'?" in (caught.value.hint or "")
    with pytest.raises(NotFound):
        examples.describe("..")
