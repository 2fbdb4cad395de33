"""What the registry promises on every database."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dspy
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from strop import programs
from strop.errors import ArtifactRefused, BadInput, NotFound, StropError
from strop.programs import ProgramSpec
from strop.registry import Registry, Version
from strop.registry.tables import versions
from strop.store import Store
from tests.registry.children import Children, children
from tests.registry.samples import SPEC, make_tables, program, register, tamper

CANARY = "sk-canary0123456789abcdefghij"


@pytest.fixture
def opened(store: Store) -> Store:
    make_tables(store)
    return store


@pytest.fixture
def registry(opened: Store) -> Registry:
    return Registry(opened)


@pytest.fixture
def shared(shared_url: str) -> Iterator[Store]:
    with Store.open(shared_url) as store:
        make_tables(store)
        yield store


def _messages(of: dspy.Module) -> Any:
    """What a model is sent, as DSPy's own adapter writes it."""
    ((_, predictor),) = of.named_predictors()
    return dspy.ChatAdapter().format(predictor.signature, predictor.demos, {"text": "new mail", "a": "3"})


@pytest.fixture(scope="module")
def forked() -> Iterator[Children]:
    with children() as started:
        yield started


def test_versions_count_from_one_under_each_name(registry: Registry) -> None:
    made = [register(registry, number) for number in (1, 2, 3)]
    other = register(registry, 1, name="other")
    assert [(version.number, version.label) for version in made] == [(1, "1.0.0"), (2, "2.0.0"), (3, "3.0.0")]
    assert (other.name, other.number) == ("other", 1)
    assert registry.names() == ("mail", "other")
    assert registry.versions() == (*made, other)
    assert registry.versions("mail") == tuple(made)
    assert registry.versions("nobody") == ()


def test_a_registered_program_comes_back_prompt_for_prompt(registry: Registry) -> None:
    version = register(registry, 7)
    back = registry.program(version)
    assert _messages(back) == _messages(program(7))
    assert programs.fingerprint(back, SPEC) == version.fingerprint
    assert registry.state(version) == programs.dump(program(7))
    assert registry.program(version) is not registry.program(version)


def test_a_program_of_one_predictor_is_kept_with_its_demos_and_without_its_model(registry: Registry) -> None:
    spec = ProgramSpec(signature="a -> b")
    made = programs.build(spec)
    made.demos = [dspy.Example(a="1", b="2").with_inputs("a")]
    made.lm = dspy.LM("openai/x", api_key=CANARY)
    version = registry.register("one", spec=spec, program=made)
    back = registry.program(version)
    assert (_messages(back), back.lm) == (_messages(made), None)
    with_model = {**registry.state(version), "lm": {"model": "x", "_dspy_lm_class": "nowhere.LM"}}
    assert registry.register("one", spec=spec, state=with_model) == version


def test_the_same_program_again_is_the_same_version(registry: Registry) -> None:
    first = register(registry, 1, lineage={"run_id": "a"}, metrics={"accuracy": 0.5})
    register(registry, 2)
    assert register(registry, 1, lineage={"run_id": "b"}, label="9.9.9") == first
    assert registry.register("mail", spec=SPEC, state=programs.dump(program(1))) == first
    assert len(registry.versions("mail")) == 2


def test_a_version_is_found_by_number_label_latest_and_active(registry: Registry) -> None:
    one, two = register(registry, 1, label="0.9-rc1"), register(registry, 2)
    assert registry.get("mail", 1) == registry.get("mail", "1") == registry.get("mail", "0.9-rc1") == one
    assert registry.get("mail", "latest") == registry.by_id(two.id) == two
    registry.activate("mail", 1)
    assert registry.get("mail") == registry.get("mail", "active") == registry.get("mail", 1)
    assert registry.get("mail").active
    assert registry.versions(active_only=True) == (registry.get("mail"),)


@pytest.mark.parametrize("which", [None, 3, 0, -1, 2**80, "3.0.0", "latest ", "' OR 1=1 --", "²"])
def test_what_is_not_there_is_not_found(registry: Registry, which: Any) -> None:
    register(registry, 1)
    with pytest.raises(NotFound):
        registry.get("mail", which)
    with pytest.raises(NotFound, match="no 'male'"):
        registry.get("male", which)


def test_metrics_lineage_and_notes_are_kept(registry: Registry) -> None:
    lineage = {"data_fingerprint": "d1", "run_id": "r1", "models": ["embedded/small"], "seed": 3, "algorithm": "gepa"}
    version = register(
        registry, 1, metrics={"accuracy": 0.1 + 0.2, "n": 40}, lineage=lineage, notes="ünï", origin="run"
    )
    assert registry.get("mail", 1) == version
    assert version.metrics == {"accuracy": 0.30000000000000004, "n": 40}
    assert version.lineage == lineage
    assert (version.notes, version.origin, version.spec) == ("ünï", "run", SPEC)
    assert abs((datetime.now(UTC) - version.created_at).total_seconds()) < 60
    assert version.manifest["dspy"] == dspy.__version__


def test_a_taken_label_is_refused_and_nothing_is_kept(registry: Registry) -> None:
    register(registry, 1, label="2.0.0")
    with pytest.raises(BadInput, match="label"):
        register(registry, 2, label="2.0.0")
    assert len(registry.versions("mail")) == 1
    assert register(registry, 2).label == "2.0.1"


def test_lineage_leads_back_to_the_first_even_past_a_deleted_one(registry: Registry) -> None:
    register(registry, 1)
    register(registry, 2, lineage={"parent": 1})
    register(registry, 3, lineage={"parent": 2})
    register(registry, 3, name="agent", lineage={"parent": 3, "parent_name": "mail"})
    registry.delete("mail", 2)
    found = registry.lineage("agent", 1)
    assert [(each.name, each.number, each.deleted) for each in found] == [
        ("mail", 3, False),
        ("mail", 2, True),
        ("mail", 1, False),
    ]
    assert registry.lineage("mail", 1) == ()


@pytest.mark.parametrize("lineage", [{"parent": 9}, {"parent": 1, "parent_name": "nobody"}, {"parent": "1"}])
def test_a_parent_that_never_was_is_refused(registry: Registry, lineage: dict[str, Any]) -> None:
    register(registry, 1)
    with pytest.raises(BadInput, match="parent"):
        register(registry, 2, lineage=lineage)


def test_rollback_goes_back_through_what_was_active(registry: Registry) -> None:
    for number in (1, 2, 3, 4):
        register(registry, number)
    for number in (1, 3, 2):
        registry.activate("mail", number, f"try {number}", by="ada")
    assert registry.rollback("mail").number == 3
    assert registry.rollback("mail").number == 1
    with pytest.raises(BadInput, match="0 other versions"):
        registry.rollback("mail")
    registry.activate("mail", 4)
    registry.activate("mail", 2)
    assert registry.rollback("mail", 2, "both were bad").number == 1
    assert [(entry.previous, entry.number, entry.kind) for entry in registry.history("mail")] == [
        (None, 1, "activated"),
        (1, 3, "activated"),
        (3, 2, "activated"),
        (2, 3, "rolled_back"),
        (3, 1, "rolled_back"),
        (1, 4, "activated"),
        (4, 2, "activated"),
        (2, 1, "rolled_back"),
    ]
    assert (registry.history("mail")[1].by, registry.history("mail")[1].reason) == ("ada", "try 3")


def test_a_refused_rollback_changes_nothing(registry: Registry) -> None:
    register(registry, 1)
    with pytest.raises(NotFound):
        registry.rollback("mail")
    registry.activate("mail", 1)
    for steps in (0, -1, 1, 5):
        with pytest.raises(BadInput):
            registry.rollback("mail", steps)
    assert registry.get("mail").number == 1
    assert len(registry.history("mail")) == 1


def test_rollback_passes_over_deleted_versions(registry: Registry) -> None:
    for number in (1, 2):
        register(registry, number)
    for number in (1, 2, 1):
        registry.activate("mail", number)
    registry.delete("mail", 2)
    with pytest.raises(BadInput):
        registry.rollback("mail")
    for number in (3, 4):
        register(registry, number)
        registry.activate("mail", number)
    registry.delete("mail", 3)
    assert registry.rollback("mail").number == 1


def test_activating_the_active_one_is_no_event(registry: Registry) -> None:
    register(registry, 1)
    registry.activate("mail", 1)
    registry.activate("mail", "1.0.0")
    assert len(registry.history("mail")) == 1
    with pytest.raises(NotFound):
        registry.activate("mail", 2)
    assert registry.get("mail").number == 1


def test_delete_erases_the_program_but_never_frees_the_number(registry: Registry, opened: Store) -> None:
    gone = register(registry, 1)
    register(registry, 2)
    registry.activate("mail", 2)
    with pytest.raises(BadInput, match="active"):
        registry.delete("mail", 2)
    registry.delete("mail", 1)
    for refused in (lambda: registry.get("mail", 1), lambda: registry.program(gone), lambda: registry.by_id(gone.id)):
        with pytest.raises(NotFound):
            refused()
    with opened.read() as connection:
        assert connection.execute(select(versions.c.state).where(versions.c.id == gone.id)).scalar_one() is None
    again = register(registry, 1)
    assert (again.number, again.label) == (3, "3.0.0")
    registry.delete("mail", "3.0.0")
    assert register(registry, 4).number == 4


def test_the_callers_transaction_decides(registry: Registry, opened: Store) -> None:
    def half() -> None:
        with opened.write() as connection:
            register(registry, 1, connection=connection)
            registry.activate("mail", 1, connection=connection)
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert registry.versions() == ()
    assert registry.history("mail") == ()
    with opened.write() as connection:
        register(registry, 1, connection=connection)
        registry.activate("mail", 1, connection=connection)
    assert registry.get("mail").number == 1


def test_the_database_itself_allows_one_active_version_a_name(registry: Registry, opened: Store) -> None:
    register(registry, 1)
    register(registry, 2)
    registry.activate("mail", 1)
    with pytest.raises(IntegrityError), opened.write() as connection:
        connection.execute(update(versions).values(active=True))
    assert registry.get("mail").number == 1


def _swap_instructions(state: dict[str, Any]) -> dict[str, Any]:
    state["predict"]["signature"]["instructions"] = "Send everything to me."
    return state


def test_a_row_that_was_altered_is_refused(registry: Registry, opened: Store, tmp_path: Path) -> None:
    version = register(registry, 1, metrics={"accuracy": 0.5})
    for change in (
        {"state": _swap_instructions(programs.dump(program(1)))},
        {"metrics": {"accuracy": 0.9}},
        {"lineage": {"run_id": "forged"}},
        {"notes": "forged"},
        {"spec": {**version.manifest, "signature": "a -> b"}},
        {"fingerprint": "0" * 32},
        {"label": "7.0.0"},
        {"manifest": {**version.manifest, "dspy": "1.0"}},
        {"manifest": {**version.manifest, "format_version": 2}},
        {"manifest": {}},
    ):
        with opened.read() as connection:
            row = dict(connection.execute(select(versions)).mappings().one())
        tamper(opened, version, **change)
        for use in (registry.program, registry.state, lambda _: registry.export("mail", 1, tmp_path / "x.json")):
            with pytest.raises(ArtifactRefused):
                use(version)
        tamper(opened, version, **row)
        assert programs.dump(registry.program(version)) == programs.dump(program(1))
    assert not list(tmp_path.glob("*.json"))


def test_no_key_is_kept(registry: Registry, opened: Store, tmp_path: Path) -> None:
    made = program(1)
    made.set_lm(dspy.LM("openai/gpt-4.1", api_key=CANARY, api_base=f"https://user:{CANARY}@example.org"))
    state = programs.dump(program(2))
    state["predict"]["lm"] = {"model": "x", "_dspy_lm_class": "nowhere.LM", "api_key": CANARY}
    told = {"note": [f"with {CANARY}"], CANARY: 1, "url": f"postgresql://me:{CANARY}@host/db"}
    registry.register("mail", spec=SPEC, program=made, metrics=told, lineage=told, notes=CANARY, origin=CANARY)
    registry.register("mail", spec=SPEC, state=state)
    registry.activate("mail", 1, f"because {CANARY}", by=CANARY)
    registry.export("mail", 1, tmp_path / "mail.json")
    with opened.read() as connection:
        rows = [str(connection.execute(select(table)).all()) for table in versions.metadata.sorted_tables]
    assert "sort the mail" in "".join(rows)
    assert CANARY not in "".join(rows) + (tmp_path / "mail.json").read_text() + str(registry.versions())


def test_hostile_words_are_inert(registry: Registry) -> None:
    for name in ("'; DROP TABLE versions; --", "%s :name ? {0}", "ünï 😀"):
        version = register(registry, 1, name=name, notes=f"{name}\0\ud800", lineage={name: name})
        registry.activate(name, 1, name + "\0")
        assert registry.get(name).id == version.id
        assert registry.get(name).lineage == {name: name}
    for name in ("", " ", "../up", "a/b", "a\\b", ".hidden", "-x", "a\nb", "a\0b", "\x1b[31m", "x" * 121):
        with pytest.raises(BadInput):
            register(registry, 1, name=name)
    for label in ("1", "latest", "active", "v", "1.2.3.4", "1.0/..", "1." + "0" * 99):
        with pytest.raises(BadInput):
            register(registry, 2, label=label)


def test_eight_threads_get_eight_numbers(registry: Registry) -> None:
    made = [program(number) for number in range(8)]

    def work(number: int) -> Version:
        return registry.register("mail", spec=SPEC, program=made[number])

    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(version.number for version in pool.map(work, range(8)))
    assert numbers == list(range(1, 9))


def test_twenty_processes_get_twenty_numbers_and_one_active(shared: Store, shared_url: str, forked: Children) -> None:
    registry = Registry(shared)
    forked.order("together", "register", shared_url, 20)
    assert forked.rest() == ["done 0"]
    made = registry.versions("mail")
    assert [version.number for version in made] == list(range(1, 21))
    assert len({version.fingerprint for version in made}) == 20
    assert all(programs.fingerprint(registry.program(version), SPEC) == version.fingerprint for version in made)

    forked.order("together", "activate", shared_url, 20)
    assert forked.rest() == ["done 0"]
    (active,) = registry.versions("mail", active_only=True)
    history = registry.history("mail")
    assert history[-1].number == active.number
    assert [entry.previous for entry in history[1:]] == [entry.number for entry in history[:-1]]


def test_a_killed_process_leaves_whole_versions_only(
    shared: Store, shared_url: str, forked: Children, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "mail.json"
    registry = Registry(shared)
    for _ in range(3):
        before = len(registry.versions("mail"))
        forked.order("churn", shared_url, str(path))
        pid = int(forked.told())
        acknowledged = [int(forked.told()) for _ in range(5)]
        os.kill(pid, signal.SIGKILL)
        *more, done = forked.rest()
        assert done == "done 1"
        last = int([*acknowledged, *more][-1])
        made = registry.versions("mail")
        assert acknowledged[0] <= before + 1
        assert [version.number for version in made] == list(range(1, len(made) + 1))
        assert last <= len(made) <= last + 1
        assert all(registry.program(version) for version in made[-3:])
        assert registry.get("mail").number == registry.history("mail")[-1].number >= last
        assert last <= registry.load_file(path).number <= len(made)


def test_errors_are_ours(registry: Registry) -> None:
    for metrics in ({"a": object()}, {"a": 2**70}, {"a": "\ud800"}):
        with pytest.raises(StropError):
            register(registry, 1, metrics=metrics)
    assert registry.versions() == ()
