"""Parity: the exported text as plain chat, measured against the program on the same examples."""

from __future__ import annotations

import re
from typing import Any

import pytest
from dspy import lm15

from strop.agents.parity import Parity, Trial, check_parity, read_answer, written
from strop.datasets import Example
from strop.errors import BadInput
from strop.exporters import Field
from strop.gateway import ModelSettings
from strop.metrics import build
from strop.programs import ProgramSpec
from tests.exporters.prompts import SPEC, prompt, state_of
from tests.support.simulated import MODEL, World, last_text, respond, world

ONE = ProgramSpec(signature="task -> response", instructions="Shout.")
EXAMPLES = tuple(
    Example(id=f"e{number}", inputs={"task": f"word{number}"}, labels={"response": f"WORD{number}"})
    for number in range(20)
)
BOTH = ("plan", "response")


def shouting(request: lm15.Request, good: bool) -> str:
    words = re.findall(r"word\d+", last_text(request))
    return words[-1].upper() if good else "no idea"


def answering(*, plain_good: int) -> Any:
    """A model that answers DSPy's layout well, and plain chat well for the first `plain_good` examples."""

    def answer(request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        if "[[ ## task ## ]]" in str(request.system):
            return respond(f"[[ ## response ## ]]\n{shouting(request, True)}\n\n[[ ## completed ## ]]")
        number = int(re.findall(r"\d+", last_text(request))[-1])
        return respond(shouting(request, number < plain_good))

    return answer


def trial(at: World, examples: tuple[Example, ...] = EXAMPLES) -> Trial:
    return Trial(
        examples=examples, metric=build("exact_match"), gateway=at.gateway, account=at.account(),
        model=ModelSettings(model=MODEL), concurrency=2,
    )  # fmt: skip


def look(at: World, spec: ProgramSpec = ONE, **more: Any) -> Parity:
    return check_parity(prompt(spec=spec), spec, state_of(spec), trial(at), **more)


def test_equal_answers_are_parity() -> None:
    with world(answering(plain_good=20)) as at:
        found = look(at)
        asked = [request for request in at.simulation.asked if "[[ ##" not in str(request.system)]

    assert (found.program, found.exported, found.change) == (1.0, 1.0, 0.0)
    assert (found.examples, found.unanswered, found.model) == (20, 0, MODEL)
    assert found.passes
    assert len(asked) == 20
    assert asked[0].system == "# Coding agent\n\n## Instructions\n\nShout."
    assert sorted(last_text(one) for one in asked) == sorted(f"word{number}" for number in range(20))


def test_a_loss_beyond_the_tolerance_is_refused_with_its_numbers() -> None:
    with world(answering(plain_good=15)) as at:
        found = look(at)
        again = look(at, tolerance=0.25)
        calls = len(at.simulation.asked)

    assert (found.program, found.exported, found.change) == (1.0, 0.75, -0.25)
    assert found.p_value == pytest.approx(0.5**5)  # exact McNemar: five lost, none won
    assert not found.passes
    assert again.passes
    assert calls == 40, "what was measured once is not paid again"
    assert "75.0% where the program scores 100.0%, more than the tolerance of 5.0%" in found.told()
    assert found.data()["passes"] is False


def test_a_small_loss_is_within_the_tolerance() -> None:
    with world(answering(plain_good=19)) as at:
        assert look(at).passes  # exactly one of twenty, exactly the tolerance
        assert not look(at, tolerance=0.04).passes


def test_several_parts_are_asked_for_and_read() -> None:
    def answer(request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        text = last_text(request)
        if "[[ ##" in str(request.system):
            return respond("[[ ## plan ## ]]\nread(a)\n\n[[ ## response ## ]]\nDone.\n\n[[ ## completed ## ]]")
        assert text == (
            "Task:\nFix\n\nContext:\nmain\n\nAnswer in these parts, each after its name: **Plan:**, **Response:**"
        )
        return respond("**Plan:** read(a)\n\n**Response:** Done.")

    example = Example(id="a", inputs={"task": "Fix", "context": "main"}, labels={"response": "Done."})
    with world(answer) as at:
        found = check_parity(prompt(), SPEC, state_of(), trial(at, (example,)))
    assert (found.program, found.exported, found.unanswered) == (1.0, 1.0, 0)


def test_an_answer_that_cannot_be_read_counts_nothing() -> None:
    def answer(request: lm15.Request, rollout: int | None, index: int) -> lm15.Response:
        return respond("I would rather not.")

    example = Example(id="a", inputs={"task": "Fix", "context": "main"}, labels={"response": "Done."})
    with world(answer) as at:
        found = check_parity(prompt(), SPEC, state_of(), trial(at, (example,)))
    assert (found.exported, found.unanswered) == (0.0, 1)


def test_what_cannot_be_compared_is_said() -> None:
    two = ProgramSpec(factory="tests.programs.samples:TwoSteps")
    with world() as at:
        with pytest.raises(BadInput, match="2 steps"):
            look(at, two)
        with pytest.raises(BadInput, match="without dev examples"):
            check_parity(prompt(spec=ONE), ONE, state_of(ONE), trial(at, ()))
        with pytest.raises(BadInput, match="tolerance lies"):
            look(at, tolerance=2)
        assert at.simulation.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "**Plan:** a; b\n\n**Response:** Done.\nReally.",
        "Plan: a; b\nResponse: Done.\nReally.",
        "## Plan\na; b\n\n## Response\n\nDone.\nReally.",
        "Sure!\n\n**Plan**: a; b\n**Response**:\n\n```text\nDone.\nReally.\n```",
        "[[ ## plan ## ]]\na; b\n[[ ## response ## ]]\nDone.\nReally.",
        '{"plan": "a; b", "response": "Done.\\nReally."}',
        '```json\n{"Plan": "a; b", "Response": "Done.\\nReally."}\n```',
        "Response: Done.\nReally.\n\nPlan:\na; b",
    ],
)
def test_parts_are_found_however_a_model_marks_them(text: str) -> None:
    outputs = tuple(Field(name=name) for name in BOTH)
    assert read_answer(text, outputs) == {"plan": "a; b", "response": "Done.\nReally."}


def test_a_single_part_is_the_whole_answer() -> None:
    only = (Field(name="label"),)
    assert read_answer(" positive\n", only) == {"label": "positive"}
    assert read_answer("**Response:** positive", only) == {"label": "positive"}
    assert read_answer("Label: positive", only) == {"label": "positive"}
    with pytest.raises(ValueError, match="no part 'Response'"):
        read_answer("Plan: a", tuple(Field(name=name) for name in BOTH))


def test_a_task_is_written_plainly() -> None:
    task = (Field(name="task"),)
    assert written({"task": "Fix it."}, task, task) == "Fix it."
    assert written({"task": {"a": 1}}, task, task) == '{"a": 1}'
    both = (*task, Field(name="context"))
    assert written({"task": "Fix it.", "context": None}, both, task) == "Task:\nFix it."
