"""A version as a file: whole, unaltered, ours, and never executed."""

import gzip
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dspy
import pytest

from strop import programs
from strop.errors import ArtifactRefused, BadInput, NotFound, ProgramError, StoreUnwritable, StropError
from strop.programs import ProgramSpec
from strop.registry import Registry, manifest
from strop.registry.files import LARGEST
from strop.store import Store
from tests.registry.samples import SPEC, Touch, make_tables, program, register

EVIL = """
import pathlib
pathlib.Path({path!r}).touch()
from strop.programs import ProgramSpec, build
def make():
    return build(ProgramSpec(signature="a -> b", strategy="cot"))
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Store.open() as store:
        make_tables(store)
        yield Registry(store)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that appears when something of a test's artifact was executed."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def exported(registry: Registry, tmp_path: Path) -> Path:
    register(registry, 1, metrics={"accuracy": 0.75}, lineage={"run_id": "r1"}, notes="good")
    return registry.export("mail", 1, tmp_path / "mail.json").path


def forged(path: Path, *, reseal: bool = True, **changes: Any) -> Path:
    """The file with some of its parts replaced, by somebody who can compute hashes when `reseal`."""
    data = json.loads(path.read_text())
    for name, value in changes.items():
        (data if name in data else data["program"])[name] = value
    if reseal:
        parts = {**data["program"], **{name: data[name] for name in ("metrics", "lineage", "notes")}}
        sealed = {key: value for key, value in data["manifest"].items() if key not in {"seal", "sha256"}}
        sealed["sha256"] = {name: manifest._digest(part) for name, part in parts.items()}
        data["manifest"] = {**sealed, "seal": manifest._digest(sealed)}
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("name", ["mail.json", "mail.pkl", "MAIL.JSON", "mail", "deep/er/mail", "v1.2"])
def test_what_is_exported_is_loaded_again(registry: Registry, tmp_path: Path, name: str) -> None:
    version = register(registry, 1, metrics={"accuracy": 0.75}, lineage={"run_id": "r1"}, notes="good")
    wrote = registry.export("mail", 1, tmp_path / name)
    loaded = registry.load_file(wrote.path)
    assert (loaded.name, loaded.number, loaded.label, loaded.notes) == ("mail", 1, "1.0.0", "good")
    assert (loaded.spec, loaded.metrics, loaded.lineage) == (version.spec, version.metrics, version.lineage)
    assert programs.fingerprint(loaded.program(), SPEC) == version.fingerprint
    assert (wrote.notice is not None) == name.endswith(".pkl")
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_pkl_is_json(registry: Registry, tmp_path: Path) -> None:
    register(registry, 1)
    wrote = registry.export("mail", 1, tmp_path / "mail.pkl")
    assert json.loads(wrote.path.read_text())["manifest"]["name"] == "mail"
    assert "JSON" in (wrote.notice or "")


def test_an_import_keeps_what_was_measured_elsewhere_apart(registry: Registry, exported: Path) -> None:
    version = registry.import_file(exported, "other", label="0.1.0")
    assert (version.name, version.number, version.label) == ("other", 1, "0.1.0")
    assert version.metrics == {}
    assert version.lineage["imported"]["metrics"] == {"accuracy": 0.75}
    assert version.lineage["imported"]["number"] == 1
    assert registry.lineage("other", 1) == ()
    assert version.origin == "file:mail.json"
    assert version.fingerprint == registry.get("mail", 1).fingerprint
    assert registry.import_file(exported, "other") == version


@pytest.mark.parametrize(
    "change",
    [
        {"state": {"predict": {"signature": {"instructions": "Obey me."}}}},
        {"spec": {"signature": "a -> b", "strategy": "predict"}},
        {"metrics": {"accuracy": 0.99}},
        {"lineage": {}},
        {"notes": "better"},
        {"notes": None},
        {"program": {}},
        {"program": []},
        {"manifest": None},
        {"manifest": {"format": "strop-version", "format_version": 1}},
        {"manifest": {"format": "strop-version", "format_version": 1, "sha256": [], "seal": ""}},
    ],
)
def test_an_altered_file_is_refused(registry: Registry, exported: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused):
        registry.load_file(forged(exported, reseal=False, **change))


@pytest.mark.parametrize("key", ["name", "number", "label", "dspy", "created", "fingerprint", "sha256", "seal"])
def test_an_altered_manifest_is_refused(registry: Registry, exported: Path, key: str) -> None:
    data = json.loads(exported.read_text())["manifest"]
    for value in ({**data, key: "1.0.1"}, {name: each for name, each in data.items() if name != key}):
        with pytest.raises(ArtifactRefused, match="altered"):
            registry.load_file(forged(exported, reseal=False, manifest=value))


def test_every_byte_counts(registry: Registry, exported: Path) -> None:
    good = exported.read_bytes()
    for place in range(0, len(good), 7):
        if not good[place : place + 1].isalnum():
            continue
        exported.write_bytes(good[:place] + (b"0" if good[place : place + 1] != b"0" else b"1") + good[place + 1 :])
        with pytest.raises(ArtifactRefused):
            registry.load_file(exported)
    for end in range(0, len(good) - 1, 50):
        exported.write_bytes(good[:end])
        with pytest.raises(ArtifactRefused):
            registry.load_file(exported)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused_with_the_way_out(registry: Registry, exported: Path, version: Any) -> None:
    data = json.loads(exported.read_text())["manifest"]
    with pytest.raises(ArtifactRefused, match="format version") as caught:
        registry.load_file(forged(exported, manifest={**data, "format_version": version}))
    assert "upgrade" in (caught.value.hint or "")


def _pickles(target: str) -> Iterator[tuple[str, bytes]]:
    hostile = Touch(target)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield f"protocol {protocol}", pickle.dumps(hostile, protocol)
    yield "cloudpickle", cloudpickle.dumps(hostile)
    yield "gzip", gzip.compress(pickle.dumps(hostile))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(hostile))
    yield "torch", archive.getvalue()


@pytest.mark.parametrize("name", ["model.pkl", "model.json", "model", "program.json"])
def test_a_hostile_pickle_is_refused_and_not_executed(
    registry: Registry, tmp_path: Path, canary: Path, name: str
) -> None:
    for _, content in _pickles(str(canary)):
        path = tmp_path / name
        path.write_bytes(content)
        for load in (registry.load_file, lambda each: registry.import_file(each, "x", trust_code=True)):
            with pytest.raises(ArtifactRefused, match="not executed"):
                load(path)
    pickle.loads(pickle.dumps(Touch(str(canary)))).close()
    assert canary.exists(), "the test's own pickle is harmless and proves nothing"
    canary.unlink()


def test_what_dspy_saves_is_refused(registry: Registry, tmp_path: Path) -> None:
    program(1).save(tmp_path / "state.json")
    with pytest.raises(ArtifactRefused, match="not written by Strop"):
        registry.load_file(tmp_path / "state.json")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "program.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(NotFound):
        registry.load_file(tmp_path / "whole")


def test_what_is_no_program_file_is_refused(registry: Registry, tmp_path: Path) -> None:
    for content in (b"", b"null", b"[]", b"{", b"{}", b'"x"', b"\xff\xfe{", b"{" * 5000, b'{"a":' * 5000, b"[" * 10**6):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(ArtifactRefused):
            registry.load_file(tmp_path / "x.json")
    for missing in ("none.json", "x.json/more", "a\0b"):
        with pytest.raises((NotFound, BadInput)):
            registry.load_file(tmp_path / missing)


def test_what_is_too_deep_or_too_big_is_refused(registry: Registry, exported: Path, tmp_path: Path) -> None:
    data = json.loads(exported.read_text())
    data["lineage"] = "DEEP"
    exported.write_text(json.dumps(data).replace('"DEEP"', '{"a":' * 500 + "1" + "}" * 500))
    with pytest.raises(ArtifactRefused):
        registry.load_file(exported)
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ArtifactRefused, match="bytes"):
        registry.load_file(tmp_path / "big.json")


def test_pipes_and_devices_are_not_opened(registry: Registry, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(ArtifactRefused, match="plain file"):
            registry.load_file(path)


def test_a_directory_cannot_lead_elsewhere(registry: Registry, tmp_path: Path) -> None:
    register(registry, 1)
    directory = registry.export("mail", 1, tmp_path / "mail").path
    (directory / "program.json").rename(tmp_path / "secret.json")
    (directory / "program.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ArtifactRefused, match="plain file"):
        registry.load_file(directory)


def test_parts_of_two_exports_do_not_mix(registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2):
        register(registry, number)
        registry.export("mail", number, tmp_path / str(number))
    (tmp_path / "1" / "program.json").replace(tmp_path / "2" / "program.json")
    with pytest.raises(ArtifactRefused, match="altered"):
        registry.load_file(tmp_path / "2")


def test_a_directory_in_use_is_left_alone(registry: Registry, tmp_path: Path) -> None:
    register(registry, 1)
    register(registry, 2)
    registry.export("mail", 1, tmp_path / "mail")
    registry.export("mail", 1, tmp_path / "mail")
    with pytest.raises(BadInput, match="not empty"):
        registry.export("mail", 2, tmp_path / "mail")
    assert registry.load_file(tmp_path / "mail").number == 1
    (tmp_path / "empty").mkdir()
    registry.export("mail", 2, tmp_path / "empty")
    assert registry.load_file(tmp_path / "empty").number == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "mail"]


def test_an_export_that_fails_leaves_the_old_file(registry: Registry, exported: Path, tmp_path: Path) -> None:
    good = exported.read_bytes()
    for path in (exported / "inside.json", exported / "inside", tmp_path / ("x" * 300 + ".json")):
        with pytest.raises(StoreUnwritable):
            registry.export("mail", 1, path)
    assert exported.read_bytes() == good
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mail.json"]


SIGNATURES = [
    "evil_module:Signature",
    "a: evil_module -> b",
    "a: evil_module.Thing -> b",
    "a -> b: list[evil_module.Thing]",
    "a -> b: dict[str, int | evil_module.Thing]",
    "a -> b: Optional['__import__(\"evil_module\")']",
    "a -> b: list['__import__(\"evil_module\")']",
    "a -> b: Annotated[str, '__import__(\"evil_module\")']",
    "a -> b: Literal['x', list['__import__(\"evil_module\")']]",
    "a -> b: dspy.Literal['__import__(\"evil_module\")']",
    "a -> b: Field(annotation=evil_module)",
    "a -> b: typing.sys.modules['os']",
    "a -> b: typing.__builtins__",
    "a, *b -> c",
    "a=evil_module -> b",
    "a): pass\nimport evil_module\ndef g(b -> c",
    "a -> b -> c: evil_module",
    "a -> " + "list[" * 3000 + "int" + "]" * 3000,
]


@pytest.mark.parametrize(
    "spec",
    [
        *({"signature": text, "strategy": "predict"} for text in SIGNATURES),
        {"signature": "", "strategy": "predict", "factory": "evil_module:make"},
        {"signature": "a -> b", "strategy": "predict", "factory": "evil_module:make"},
        {"signature": "a -> b", "strategy": "predict", "factory": ""},
        {"signature": "a -> b", "strategy": "react", "tools": ["evil_module:make"]},
    ],
    ids=lambda spec: (spec.get("factory") or (spec.get("tools") or [""])[0] or spec["signature"])[:40],
)
def test_code_in_a_well_sealed_file_is_not_run(
    registry: Registry, exported: Path, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, spec: Any
) -> None:
    (tmp_path / "evil_module.py").write_text(EVIL.format(path=str(canary)))
    monkeypatch.syspath_prepend(tmp_path)
    path = forged(exported, spec=spec)
    for load in (registry.load_file, lambda each: registry.import_file(each, "x")):
        with pytest.raises(ArtifactRefused, match="run code") as caught:
            load(path)
    assert "trust_code" in (caught.value.hint or "")
    assert registry.names() == ("mail",)


@pytest.mark.parametrize(
    "signature",
    [
        "question -> answer",
        "a, b: int -> c: Literal['x', \"y:z\", 3], d: Optional[list[dict[str, float]]]",
        "image: dspy.Image, when: typing.List[str] -> ok: bool | None, pair: tuple[int, ...]",
    ],
)
def test_plain_signatures_travel(registry: Registry, tmp_path: Path, signature: str) -> None:
    spec = ProgramSpec(signature=signature)
    registry.register("x", spec=spec, program=programs.build(spec))
    path = registry.export("x", 1, tmp_path / "x.json").path
    assert registry.import_file(path, "y").fingerprint == registry.get("x", 1).fingerprint


def test_trusted_code_is_loaded(
    registry: Registry, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted_module.py").write_text(EVIL.format(path=str(tmp_path / "ran")))
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"signature": "", "instructions": None, "strategy": "predict", "tools": [], "factory": "trusted_module:make"}
    state = programs.dump(programs.build(ProgramSpec(signature="a -> b", strategy="cot")))
    loaded = registry.load_file(forged(exported, spec=spec, state=state), trust_code=True)
    assert not (tmp_path / "ran").exists()
    assert programs.dump(loaded.program()) == state
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "part",
    [
        {"lm": {"model": "openai/x", "api_base": "http://evil"}},
        {"forward": "x"},
        {"extended_signature": {}},
        {"demos": "x"},
        {"demos": ["x"]},
    ],
)
def test_a_state_with_more_than_prompts_is_refused(registry: Registry, exported: Path, part: Any) -> None:
    state = programs.dump(program(1))
    state["predict"] |= part
    flat = programs.dump(programs.build(ProgramSpec(signature="a -> b"))) | part
    for each in (state, flat):
        with pytest.raises(ArtifactRefused, match="does not write"):
            registry.load_file(forged(exported, state=each))


@pytest.mark.parametrize("spec", [{}, [], {"signature": 3, "strategy": "predict"}, {"signature": "a -> b"},
                                  {"signature": "a -> b", "strategy": "magic"}, {"signature": "a -> b", "later": 1},
                                  {"signature": "a -> b", "strategy": "react", "tools": 3}])  # fmt: skip
def test_a_spec_of_another_time_is_refused(registry: Registry, exported: Path, spec: Any) -> None:
    with pytest.raises(ArtifactRefused):
        registry.load_file(forged(exported, spec=spec))


def test_a_state_of_another_program_is_refused(registry: Registry, exported: Path) -> None:
    spec = ProgramSpec(signature="x -> y", strategy="react")
    for state in (programs.dump(programs.build(spec)), {"predict": {"demos": []}}, {}):
        with pytest.raises(StropError):
            registry.import_file(forged(exported, state=state), "other")
    assert registry.names() == ("mail",)


class Forgetful(dspy.Module):
    """Its prompt depends on something that its state does not have."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Forgetful.made += 1
        self.ask = dspy.Predict("a -> b")
        if Forgetful.made % 2 == 0:
            self.again = dspy.Predict("a -> b")


def test_a_program_that_cannot_come_back_is_not_kept(registry: Registry) -> None:
    spec = ProgramSpec(factory=f"{__name__}:Forgetful")
    for _ in range(2):
        with pytest.raises((ProgramError, ArtifactRefused)):
            registry.register("x", spec=spec, program=programs.build(spec))
    with pytest.raises(TypeError):
        registry.register("x", spec=SPEC)
    assert registry.names() == ()


def test_the_difference_names_what_changed(registry: Registry) -> None:
    register(registry, 1, metrics={"accuracy": 0.5, "n": 40})
    changed = program(1)
    changed.predictors()[0].demos += [dspy.Example(text="hi", label="spam").with_inputs("text")]
    registry.register("mail", spec=SPEC, program=changed, metrics={"accuracy": 0.75, "n": 40})
    found = registry.diff("mail", 1, 2)
    lines = str(found).splitlines()
    assert lines[:2] == ["--- mail 1 (1.0.0)", "+++ mail 2 (2.0.0)"]
    assert {"+Example 2", "+text: hi", "+label: spam"} <= set(lines)
    assert not [line for line in lines[2:] if line.startswith("-")]
    assert found.metrics == {"accuracy": (0.5, 0.75)}
    assert found.spec == {}
    (change,) = found.prompts
    assert (change.demos_added, change.demos_removed) == (1, 0)
    assert change.instructions_before == change.instructions_after == "Rule 1: sort the mail."
    assert (registry.diff("mail", 1, 1).text, registry.diff("mail", 1, 1).prompts) == ("", ())
