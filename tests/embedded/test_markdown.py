"""An exported prompt is read back as the program that it was made from, and answered in the parts that it shows."""

from dspy import make_signature
from dspy.lm15 import Message, Request
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.agents.parity import read_answer, written
from strop.embedded import answer, prompt
from strop.exporters import AgentPrompt, Demo, Field, Stage, body
from tests.embedded.requests_by_hand import request

INPUTS = ("task", "context")
OUTPUTS = ("next_step", "closing_words")
FIX = "read(cart.py); edit(cart.py); bash(pytest)"
LOCK = "read(pyproject.toml); edit(pyproject.toml); bash(uv lock)"
DEMOS = [
    {"task": "Fix the cart", "context": "a\nb: c", "next_step": FIX, "closing_words": "Fixed."},
    {"task": "The cart forgets items", "context": "", "next_step": FIX, "closing_words": "Fixed."},
    {"task": "Allow the new release", "context": "x", "next_step": LOCK, "closing_words": "Allowed."},
    {"task": "Upgrade a package", "context": "# no heading\n```\n**Task:** x\n```", "next_step": LOCK},
]


def fields(names: tuple[str, ...], said: dict[str, str]) -> tuple[Field, ...]:
    return tuple(Field(name=name, description=said.get(name, "")) for name in names)


def exported(instructions: str, demos: list[dict[str, str]], **said: str) -> AgentPrompt:
    def shown(one: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
        return {name: one[name] for name in names if name in one}

    made = tuple(Demo(given=shown(one, INPUTS), answered=shown(one, OUTPUTS)) for one in demos)
    stage = Stage(
        name="self", instructions=instructions, inputs=fields(INPUTS, said), outputs=fields(OUTPUTS, said), demos=made
    )
    return AgentPrompt(name="mine", stages=(stage,), description="Mine.")


def as_plain_chat(made: AgentPrompt, inputs: dict[str, str]) -> Request:
    (stage,) = made.stages
    user = Message.user(written(inputs, stage.inputs, stage.outputs))
    return Request(model="embedded/small", system=body(made).strip(), messages=(user,))


VALUES = st.text(st.sampled_from("ab \n#*-`:>1"), min_size=1, max_size=14).map(lambda text: f"x{text}x")


@settings(max_examples=80, deadline=None)
@given(
    st.text(st.sampled_from("ab \n-:1."), max_size=20),
    st.lists(st.fixed_dictionaries(dict.fromkeys((*INPUTS, *OUTPUTS), VALUES)), max_size=3),
)
def test_it_is_read_as_the_program_is(instructions: str, demos: list[dict[str, str]]) -> None:
    instructions = f"Do it. {instructions} End."
    inputs = {"task": "Mend\n\nthe tax", "context": "branch: main"}
    signature = make_signature(f"{', '.join(INPUTS)} -> {', '.join(OUTPUTS)}", instructions)
    own = prompt.read(request(signature, inputs, demos=demos))
    read = prompt.read(as_plain_chat(exported(instructions, demos), inputs))
    assert dict(read.inputs) == dict(own.inputs) == inputs
    assert read.task.instructions == own.task.instructions
    assert [one.name for one in read.task.outputs] == list(OUTPUTS)
    assert [(dict(one.inputs), dict(one.outputs)) for one in read.task.demos] == [
        ({name: one[name] for name in INPUTS}, {name: one[name] for name in OUTPUTS}) for one in demos
    ]


PIECES = st.sampled_from(
    ["# Instructions\n", "## Examples\n", "### Example 1\n", "**Task:** a\n", "**Plan:**", "```\n", "````text\n",
     "Task:\n", "## Approach\n1. Plan\n", "- Task: b\n", "\n", "**", ": ", "x", "~~~\n"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join), st.lists(PIECES, min_size=1, max_size=8).map("".join))
def test_anything_with_such_headings_is_answered(system: str, user: str) -> None:
    asked = Request(model="embedded/small", system=f"# Instructions\n{system}", messages=(Message.user(user),))
    assert answer("embedded/small", asked).text


def test_headings_and_names_in_a_fence_are_a_value() -> None:
    read = prompt.read(as_plain_chat(exported("Work.", DEMOS), {"task": "t", "context": "c"}))
    assert len(read.task.demos) == 4
    last = read.task.demos[3]
    assert dict(last.inputs) == {name: DEMOS[3][name] for name in INPUTS}
    assert dict(last.outputs) == {"next_step": LOCK}


def test_what_is_said_about_the_parts_is_read() -> None:
    made = exported("Work.", DEMOS, context="what is known", next_step="one line")
    read = prompt.read(as_plain_chat(made, {"task": "t", "context": "c"}))
    assert [(one.name, one.desc) for one in (*read.task.inputs, *read.task.outputs)] == [
        ("task", ""), ("context", "what is known"), ("next_step", "one line"), ("closing_words", "")
    ]  # fmt: skip


def test_the_answer_is_in_the_parts_and_the_examples_are_learnt_from() -> None:
    outputs = fields(OUTPUTS, {})
    asked = {"task": "The cart is broken again, fix the cart", "context": "b: c"}
    with_examples = answer("embedded/small", as_plain_chat(exported("Work.", DEMOS), asked)).text or ""
    assert read_answer(with_examples, outputs)["next_step"] == FIX
    without = answer("embedded/small", as_plain_chat(exported("Work.", []), asked)).text or ""
    assert read_answer(without, outputs)["next_step"] not in {FIX, LOCK}


def test_an_addition_below_somebody_elses_text_counts() -> None:
    text = f"You help.\n\n## Manners\n\nBe kind.\n\n{body(exported('Work.', DEMOS), 'append')}\n## Later\n\nRest.\n"
    read = prompt.read(Request(model="embedded/small", system=text, messages=(Message.user("Fix the cart"),)))
    assert [dict(one.outputs).get("next_step") for one in read.task.demos] == [FIX, FIX, LOCK, LOCK]
    assert dict(read.inputs) == {"task": "Fix the cart"}
    assert all(part in read.task.instructions for part in ("You help.", "Be kind.", "Work.", "Rest."))


def test_one_part_on_each_side_needs_no_names() -> None:
    stage = Stage(
        name="self", instructions="Sort it.", inputs=fields(("ticket",), {}), outputs=fields(("team",), {}),
        demos=tuple(
            Demo(given={"ticket": f"{word} number {number}"}, answered={"team": team})
            for number in range(3) for word, team in (("invoice", "billing"), ("crash", "technical"))
        ),
    )  # fmt: skip
    made = AgentPrompt(name="mine", stages=(stage,), description="Mine.")
    text = answer("embedded/small", as_plain_chat(made, {"ticket": "the invoice is wrong"})).text or ""
    assert text == "**Response:** billing"


def test_other_prompts_with_such_headings_stay_plain() -> None:
    system = "# Instructions\n\nSort each message into one of: fruit, metal.\n"
    asked = Request(model="embedded/small", system=system, messages=(Message.user("a ripe fruit"),))
    assert prompt.read(asked).task.layout == "plain"
    assert answer("embedded/small", asked).text == "fruit"
