"""What the models write for optimisers is read by the models, and makes them better on items that nobody showed."""

import json
from collections.abc import Sequence
from typing import Any

import dspy
import pytest
from dspy.propose.dataset_summary_generator import (
    DatasetDescriptor,
    DatasetDescriptorWithPriorObservations,
    ObservationSummarizer,
)
from dspy.propose.grounded_proposer import DescribeProgram, generate_instruction_class
from dspy.teleprompt.copro_optimizer import BasicGenerateInstruction, GenerateInstructionGivenAttempts
from dspy.teleprompt.gepa.instruction_proposal import ProposeInstruction
from dspy.teleprompt.infer_rules import RulesInductionProgram
from dspy.teleprompt.simba_utils import OfferFeedback

from strop.embedded import MODELS, answer
from strop.embedded.cues import read_cues
from strop.embedded.rows import right_answer
from tests.embedded.requests_by_hand import Asking, request
from tests.embedded.task_families import Family, Item, facts, topics

NAMES = [name.split("/")[1] for name in MODELS]


def written(
    signature: type[dspy.Signature],
    model: str = "large",
    adapter: dspy.Adapter | None = None,
    rollout: int = 0,
    **inputs: Any,
) -> dict[str, Any]:
    """The fields that a model writes at temperature 1, parsed by DSPy."""
    adapter = adapter or dspy.ChatAdapter()
    asked = request(signature, inputs, adapter=adapter, temperature=1.0)
    return adapter.parse(signature, answer(f"embedded/{model}", asked, rollout=rollout).text or "")


def reprs(family: Family, items: Sequence[Item]) -> str:
    """Items as DSPy shows a training set."""
    return repr([dspy.Example(**one.inputs, **{family.output: one.answer}).with_inputs(*one.inputs) for one in items])


def mipro_instruction(family: Family, model: str, rollout: int = 0) -> str:
    """MIPROv2's way: observations batch by batch, a summary of them, an instruction from the summary."""
    observations = written(DatasetDescriptor, model, examples=reprs(family, family.train[:10]))["observations"]
    for start in range(10, 100, 10):
        observations += written(
            DatasetDescriptorWithPriorObservations,
            model,
            prior_observations=observations,
            examples=reprs(family, family.train[start : start + 10]),
        )["observations"]
    summary = written(ObservationSummarizer, model, observations=observations)["summary"]
    return written(
        generate_instruction_class(program_aware=False, use_instruct_history=False, use_tip=False).signature,
        model,
        rollout=rollout,
        dataset_description=summary,
        task_demos="No task demos provided.",
        basic_instruction=family.instruction,
    )["proposed_instruction"]


@pytest.mark.parametrize("writer", NAMES)
def test_an_instruction_written_from_rows_makes_readers_better(writer: str) -> None:
    family = topics(41, coded=True, telling=3)
    instruction = mipro_instruction(family, writer)
    assert instruction.startswith(family.instruction)
    for reader in NAMES:
        gain = Asking(family, reader, instruction).accuracy() - Asking(family, reader).accuracy()
        assert gain > 25


def test_rollouts_write_different_instructions_and_seeds_repeat() -> None:
    family = topics(42, coded=True)
    first = mipro_instruction(family, "large", rollout=1)
    assert first == mipro_instruction(family, "large", rollout=1)
    assert first != mipro_instruction(family, "large", rollout=2)


def test_a_guide_for_free_answers_asks_for_the_span() -> None:
    family = facts(43)
    instruction = mipro_instruction(family, "large")
    assert "Copy the exact short span" in instruction
    assert Asking(family, "small", instruction).accuracy() > Asking(family, "small").accuracy() + 40


def feedback(family: Family, items: Sequence[Item], given: str) -> list[dict[str, Any]]:
    return [
        {
            "Inputs": dict(one.inputs),
            "Generated Outputs": {family.output: given},
            "Feedback": f"expected {one.answer!r}, got {given!r}",
        }
        for one in items
    ]


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()])
def test_reflection_on_feedback_adds_to_the_guide(adapter: dspy.Adapter) -> None:
    family = topics(44, coded=True, telling=3)
    instruction = family.instruction
    for start in range(0, 80, 16):
        records = feedback(family, family.train[start : start + 16], family.labels[0])
        instruction = written(
            ProposeInstruction,
            adapter=adapter,
            current_instruction=instruction,
            examples_with_feedback=records,
        )["new_instruction"]
    assert instruction.count("Guide:") == 1
    assert Asking(family, "small", instruction).accuracy() > Asking(family, "small").accuracy() + 20


def test_rules_from_examples_tie_words_to_labels() -> None:
    family = topics(45, coded=True, telling=3)
    text = "".join(
        f"Input Fields:\nmessage: {one.inputs['message']}\n\n=========\nOutput Fields:\nshelf: {one.answer}\n\n"
        for one in family.train[:100]
    )
    signature = RulesInductionProgram(10).rules_induction.predict.signature
    rules = written(signature, examples_text=text)["natural_language_rules"]
    told = f"{family.instruction}\n\nPlease adhere to the following rules when making your prediction:\n{rules}"
    assert Asking(family, "small", told).accuracy() > Asking(family, "small").accuracy() + 25


def test_advice_contrasts_the_right_with_the_wrong_answer() -> None:
    row = {"message": "the oven burnt the dough"}
    advice = written(
        OfferFeedback,
        program_code="class P: ...",
        modules_defn="Module self\n\tOutput Fields:\n\t\t1. `shelf` (Literal['cooking', 'sports']): ",
        program_inputs=json.dumps(row),
        oracle_metadata=json.dumps({"shelf": "cooking"}),
        worse_program_trajectory="[]",
        worse_program_outputs=json.dumps({"shelf": "sports"}),
        worse_reward_value=0.0,
        worse_reward_info="{}",
        better_program_trajectory="[]",
        better_program_outputs=json.dumps({"shelf": "cooking"}),
        better_reward_value=1.0,
        better_reward_info="{}",
        module_names=["self"],
    )["module_advice"]
    assert list(advice) == ["self"]
    cues = read_cues(advice["self"], ("cooking", "sports"), 12)
    assert cues["cooking"]["oven"] > 0 > cues["sports"]["oven"]


def test_blind_proposals_keep_the_task_and_vary() -> None:
    base = "Answer the question from the passage."
    proposals = {
        written(BasicGenerateInstruction, rollout=number, basic_instruction=base)["proposed_instruction"]
        for number in range(8)
    }
    assert len(proposals) > 2
    assert all(one.startswith(base) for one in proposals)
    attempts = ["Instruction #1: Be poor.", "Prefix #1: A:", "Resulting Score #1: 10.0", "Instruction #2: Be fine."]
    attempts += ["Prefix #2: A:", "Resulting Score #2: 60.0"]
    again = written(GenerateInstructionGivenAttempts, attempted_instructions=attempts)["proposed_instruction"]
    assert again.startswith("Be fine.")


def test_a_program_is_described_by_its_fields() -> None:
    told = written(DescribeProgram, program_code="StringSignature(message -> shelf)", program_example="none")
    assert told["program_description"] == "The program reads message and gives shelf."


@pytest.mark.parametrize(
    ("feedback", "given", "right"),
    [
        ("expected 'games', got 'mail'", "mail", "games"),
        ("19 of 20 expected words, 3 given Expected: answer = '19 percent'.", "19", "19 percent"),
        ("The right section is games, not mail.", "mail", "games"),
        ("Incorrect: it should have been science instead of net", "net", "science"),
        ("This trajectory got a score of 1.0.", "games", "games"),
        ("This trajectory got a score of 0.25.", "games", None),
        ("'games' is right", "games", "games"),
        ("x is not right", "x", None),
    ],
)
def test_feedback_names_the_right_answer(feedback: str, given: str, right: str | None) -> None:
    assert right_answer(feedback, given) == right
