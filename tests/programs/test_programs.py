"""Programs: built from plain data, dumped and restored to the same prompts, run without a trace in DSPy's settings."""

from __future__ import annotations

import contextvars
import datetime
import math
import threading
from decimal import Decimal
from typing import Any

import dspy
import orjson
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import ArtifactRefused, ProgramError
from strop.programs import (
    ProgramSpec,
    build,
    dump,
    fields,
    fingerprint,
    prompt_text,
    prompts,
    resolve,
    restore,
    running_on,
    signature_of,
)
from tests.programs.samples import Place
from tests.support.simulated import MODEL, world

HERE = "tests.programs.samples"
SPECS = {
    "predict": ProgramSpec(signature="text -> label: Literal['a', 'b']"),
    "cot": ProgramSpec(signature="text, hint: list[str] -> label", strategy="cot", instructions="Be exact."),
    "react": ProgramSpec(signature="text -> label", strategy="react", tools=[f"{HERE}:look_up"]),
    "class": ProgramSpec(signature=f"{HERE}:Sorting"),
    "factory": ProgramSpec(factory=f"{HERE}:TwoSteps"),
}
each_spec = pytest.mark.parametrize("kind", SPECS)


def stored(state: Any) -> Any:
    """The state as the store gives it back: JSON text with sorted keys."""
    return orjson.loads(orjson.dumps(state, option=orjson.OPT_SORT_KEYS))


def said(program: Any) -> list[Any]:
    """Everything that the program tells a model beside the input, as DSPy's adapter writes it."""
    adapter = dspy.ChatAdapter()
    return [
        (
            name,
            adapter.format_system_message(predictor.signature),
            adapter.format_demos(predictor.signature, predictor.demos),
        )
        for name, predictor in program.named_predictors()
    ]


def with_demos(kind: str, *, instructions: str = "Do it *well*.\n\n  Always: ünïcode 漢字") -> Any:
    program = build(SPECS[kind])
    for predictor in program.predictors():
        predictor.signature = predictor.signature.with_instructions(instructions)
        demo = {name: f"{name} one" for name in predictor.signature.fields}
        demo |= {"label": "a"} if "label" in demo else {}
        demo |= {"hint": ["y", "x"]} if "hint" in demo else {}
        demo |= {"seen": [Place(zone="north", area=2)], "facts": {"z": 1.5, "a": 2.0}} if "seen" in demo else {}
        demo |= {"trajectory": {"thought_0": "z", "args_0": {"z": 1, "a": 2}}} if "trajectory" in demo else {}
        partly = {name: demo[name] for name in list(demo)[:1] + list(demo)[-1:]}
        predictor.demos = [dspy.Example(**demo).with_inputs("text"), dspy.Example(augmented=True, **partly)]
    return program


class TestRoundTrip:
    @each_spec
    def test_the_prompts_survive_word_for_word(self, kind: str) -> None:
        program = with_demos(kind)
        again = restore(SPECS[kind], stored(dump(program)))
        assert said(again) == said(program)
        assert "Do it *well*" in str(said(again))
        assert fingerprint(again, SPECS[kind]) == fingerprint(program, SPECS[kind])
        assert stored(dump(again)) == stored(dump(program))

    @pytest.mark.parametrize(
        "value",
        [
            {"b": 1, "a": {"d": 1, "c": [{"z": 1, "y": 2}]}}, {2: "b", 1: "a"}, {"k": (1, 2)}, '{"b":1,"a":2}',
            Place(zone="x"), datetime.date(2020, 1, 2), Decimal("1.50"), b"bytes", True, None, "",
            10**30, math.nan, -math.inf, -0.0, 1e22, "half \ud83d", "nul \x00",
            {"strop:json": "[1]"}, {"strop:json": 1, "a": 2},
        ],
    )  # fmt: skip
    def test_a_value_of_any_type_keeps_its_text(self, value: Any) -> None:
        spec = ProgramSpec(signature="q: Any -> a")
        program = build(spec)
        program.demos = [dspy.Example(q=value, a="y")]
        again = restore(spec, stored(dump(program)))
        assert said(again) == said(program)
        assert fingerprint(again, spec) == fingerprint(program, spec)

    @given(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    @settings(max_examples=60, deadline=None)
    def test_any_json_keeps_its_text(self, value: Any) -> None:
        self.test_a_value_of_any_type_keeps_its_text(value)

    @each_spec
    def test_a_state_holds_no_model_no_key_and_no_traces(self, kind: str) -> None:
        program = with_demos(kind)
        with world() as w:
            # DSPy itself refuses to save a model of one's own; the state has none anyway.
            program.set_lm(w.gateway.lm(MODEL, w.account(), phase="search"))
            program.predictors()[0].lm = dspy.LM("openai/secret-model", api_key="secret-key")
            models = [predictor.lm for predictor in program.predictors()]
            for predictor in program.predictors():
                predictor.traces = [("secret", "trace")]
            text = orjson.dumps(dump(program)).decode()
            assert [predictor.lm for predictor in program.predictors()] == models
        assert MODEL not in text
        assert "secret" not in text

    def test_a_plain_state_is_what_dspy_itself_would_load(self) -> None:
        program, other = with_demos("predict"), build(SPECS["predict"])
        other.load_state(dump(program))
        assert said(other) == said(program)

    @pytest.mark.parametrize(
        ("state_of", "spec_of"), [("predict", "factory"), ("factory", "cot"), ("react", "predict")]
    )
    def test_the_state_of_another_program_is_refused(self, state_of: str, spec_of: str) -> None:
        with pytest.raises(ArtifactRefused, match="the saved state has the predictors"):
            restore(SPECS[spec_of], dump(with_demos(state_of)))

    @pytest.mark.parametrize(
        "broken", [{"demos": 5}, {"demos": [5]}, {"signature": None}, {"signature": {"fields": 3}}]
    )
    def test_a_broken_state_is_refused(self, broken: dict[str, Any]) -> None:
        with pytest.raises(ArtifactRefused):
            restore(SPECS["predict"], dump(build(SPECS["predict"])) | broken)

    def test_programs_share_nothing(self) -> None:
        state = dump(with_demos("class"))
        one, two = restore(SPECS["class"], state), restore(SPECS["class"], state)
        one.demos[0]["facts"]["z"] = 9
        one.signature.instructions = "changed"
        assert said(two) == said(with_demos("class"))
        assert resolve(f"{HERE}:Sorting", what="signature").instructions == "Sort the ticket."


class TestFingerprint:
    @each_spec
    def test_equal_prompts_have_equal_prints(self, kind: str) -> None:
        one, two = with_demos(kind), with_demos(kind)
        for predictor in two.predictors():
            # What DSPy's optimizers leave behind and no prompt shows.
            predictor.traces = [1]
            predictor.demos = [
                dspy.Example(**(dict(demo) | {"dspy_uuid": "7", "augmented": True})) for demo in predictor.demos
            ]
            last = list(predictor.signature.fields)[-1]
            predictor.signature = predictor.signature.with_updated_fields(last, prefix="Answer at last:")
        assert said(one) == said(two)
        assert fingerprint(one, SPECS[kind]) == fingerprint(two, SPECS[kind])

    @each_spec
    def test_different_prompts_have_different_prints(self, kind: str) -> None:
        def described(program: Any) -> None:
            for predictor in program.predictors():
                first = next(iter(predictor.signature.fields))
                predictor.signature = predictor.signature.with_updated_fields(first, desc="other words")

        def reordered(program: Any) -> None:
            for predictor in program.predictors():
                predictor.demos = [*predictor.demos[1:], predictor.demos[0], predictor.demos[0]]

        def turned(program: Any) -> None:
            predictor = program.predictors()[-1]
            predictor.demos = [
                dspy.Example(**{**dict(predictor.demos[0]), next(iter(predictor.signature.fields)): "else"})
            ]

        changed = [with_demos(kind, instructions="Do it well."), build(SPECS[kind])]
        for change in (described, reordered, turned):
            program = with_demos(kind)
            change(program)
            changed.append(program)
        prints = {fingerprint(program, SPECS[kind]) for program in [with_demos(kind), *changed]}
        assert len({str(said(program)) for program in [with_demos(kind), *changed]}) == len(prints) == 6

    def test_the_order_of_a_mapping_in_a_demo_is_seen(self) -> None:
        spec, prints = ProgramSpec(signature="q: dict -> a"), set()
        for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1}):
            program = build(spec)
            program.demos = [dspy.Example(q=value, a="y")]
            prints.add(fingerprint(program, spec))
        assert len(prints) == 2

    def test_the_way_of_answering_counts(self) -> None:
        spec = ProgramSpec(signature="text -> label")
        other = ProgramSpec(signature="text -> label: int")
        assert fingerprint(build(spec), spec) != fingerprint(build(other), other)


class TestSpec:
    def test_fields_and_instructions(self) -> None:
        assert fields(SPECS["cot"]) == (("text", "hint"), ("label",))
        assert fields(SPECS["class"]) == (("ticket", "seen"), ("label", "facts"))
        assert signature_of(SPECS["cot"]).instructions == "Be exact."
        assert signature_of(SPECS["class"]).instructions == "Sort the ticket."
        mine = ProgramSpec(signature=f"{HERE}:Sorting", instructions="Mine.")
        assert signature_of(mine).instructions == "Mine."
        assert [prompt.name for prompt in prompts(build(SPECS["react"]))] == ["react", "extract.predict"]

    @pytest.mark.parametrize(
        ("spec", "says"),
        [
            ({"signature": "text"}, "cannot be read"),
            ({"signature": ""}, "cannot be read"),
            ({"signature": "text -> "}, "needs at least one input and one output"),
            ({"signature": "-> label"}, "needs at least one input and one output"),
            ({"signature": "text -> label: Litteral['a']"}, "cannot be read"),
            ({"signature": "text -> text"}, "text"),
            ({"signature": "text -> label: "}, "cannot be read"),
            ({"signature": "a -> b -> c"}, "cannot be read"),
            ({"signature": "no.such.module:Thing"}, "module 'no.such.module' cannot be imported"),
            ({"signature": f"{HERE}:Nothing"}, "has no 'Nothing'"),
            ({"signature": f"{HERE}:TEXT"}, "is not a dspy.Signature class"),
            ({"factory": f"{HERE}:not_a_program"}, "did not make a dspy.Module but str"),
            ({"factory": f"{HERE}:Gone"}, "has no 'Gone'"),
            ({"signature": "text -> label", "strategy": "react", "tools": [f"{HERE}:gone"]}, "tool 'tests.programs"),
        ],
    )
    def test_what_cannot_be_built_is_said(self, spec: dict[str, Any], says: str) -> None:
        with pytest.raises(ProgramError, match=says):
            build(ProgramSpec(**spec))

    def test_the_text_for_people_has_instructions_and_demos(self) -> None:
        text = prompt_text(with_demos("factory"))
        assert text.count("Do it *well*.") == 2
        assert "# draft" in text
        assert "plan: plan one" in text
        assert "augmented" not in text


class TestRunning:
    def test_dspys_settings_are_left_as_they_were(self) -> None:
        before = dict(dspy.settings.config)
        with world() as w:
            lm = w.gateway.lm(MODEL, w.account(), phase="search")
            with running_on(lm):
                assert dspy.settings.lm is lm
                assert dspy.settings.disable_history
                build(SPECS["predict"])
            with pytest.raises(ZeroDivisionError), running_on(lm):
                raise ZeroDivisionError
        assert dict(dspy.settings.config) == before
        assert dspy.settings.lm is None

    def test_a_thread_has_the_model_only_in_a_copied_context(self) -> None:
        seen: dict[str, Any] = {}
        with world() as w:
            models = {name: w.gateway.lm(MODEL, w.account(), phase=name) for name in ("one", "two")}
            threads = []
            for name, lm in models.items():
                with running_on(lm):
                    run = contextvars.copy_context().run
                    threads.append(
                        threading.Thread(target=run, args=(lambda n: seen.update({n: dspy.settings.lm}), name))
                    )
            threads.append(threading.Thread(target=lambda: seen.update(none=dspy.settings.lm)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert seen == {**models, "none": None}

    def test_the_cached_adapters_of_types_write_what_dspy_writes(self) -> None:
        from dspy.adapters import utils

        plain = pydantic.TypeAdapter
        values = [
            {"b": [1, {"z": Place(zone="x")}]},
            [Place(zone="y", area=1)],
            (1, "a"),
            {3},
            1.5,
            "text",
            None,
            datetime.date(2020, 1, 2),
        ]
        with world() as w, running_on(w.gateway.lm(MODEL, w.account(), phase="search")):
            for kind in SPECS:
                assert said(with_demos(kind))
            cached = [utils.serialize_for_json(value) for value in values * 2]
            parsed = [utils.parse_value("[1, 2]", list[int]), utils.parse_value('{"zone": "x"}', Place)]
        assert cached == [plain(type(value)).dump_python(value, mode="json", fallback=str) for value in values * 2]
        assert parsed == [[1, 2], Place(zone="x")]
