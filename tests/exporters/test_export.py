"""Exported documents: everything in them comes from the program, and no client trips over them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import BadInput, ProgramError, StoreUnwritable
from strop.exporters import (
    FORMATS,
    body,
    claude_problems,
    export,
    load,
    opencode_problems,
    plain_slug,
    prompt_of,
    put,
    slug,
    split_front_matter,
    take_out,
    write,
)
from strop.programs import ProgramSpec, fingerprint, restore
from tests.exporters.prompts import DEMO, SPEC, prompt, state_of

WHOLE = """---
description: "Coding agent mine, with a prompt optimised by Strop."
mode: primary
---

# Coding agent

## Instructions

Read before you write.

## Approach

1. Plan: one line
2. Response

## Carrying out a plan

A plan names calls of tools in their order. Do not hand it over as text: carry it out, by calling your own tools \
one after the other. Where a tool has another name with you, take the one that does the same. Look at each result \
before the next call, and leave the plan where a result speaks against it. Answer when the task is done. Write a \
plan down only where you have no tools or are asked for one.

## Examples

### Example 1

**Task:** Fix the cart

**Context:** branch: main

**Plan:** read(cart.py)

**Response:** Fixed.
"""


def test_the_agent_file_is_the_program() -> None:
    told = prompt(instructions="Read before you write.", demos=[DEMO], described={"plan": "one line"})

    assert export(told).content == WHOLE
    assert export(told).file_name == "mine.md"
    assert opencode_problems(WHOLE) == ()


def test_only_a_program_that_plans_tool_calls_is_told_to_make_them() -> None:
    other = ProgramSpec(signature="task, context -> summary, response", instructions="Sum up.")
    for mode in ("replace", "append"):
        assert body(prompt(), mode).count("by calling your own tools") == 1
        assert "calling your own tools" not in body(prompt(spec=other), mode)


def test_examples_stand_in_the_order_in_which_the_program_sends_them() -> None:
    short = {"task": "Half", "plan": "read(half.py)"}
    told = body(prompt(demos=[DEMO, short, {**DEMO, "task": "Fix the stock"}]))
    assert re.findall(r"\*\*Task:\*\* (.*)", told) == ["Half", "Fix the cart", "Fix the stock"]


def test_the_baseline_and_the_winner_are_exported_differently() -> None:
    """The reference implementation looks for demos and instructions where DSPy has none: all its exports are equal."""
    told = [
        prompt(),
        prompt(instructions="Plan first, and read before you write."),
        prompt(demos=[DEMO]),
        prompt(demos=[{**DEMO, "response": "Done."}]),
        prompt(demos=[DEMO, DEMO]),
        prompt(described={"plan": "one line"}),
    ]
    for fmt in FORMATS:
        assert len({export(one, fmt).content for one in told}) == len(told), fmt


TEXTS = st.text(st.sampled_from("ab \n#*-`:>1"), max_size=12)
DEMOS = st.lists(st.fixed_dictionaries(dict.fromkeys(DEMO, TEXTS)), max_size=2)


@settings(max_examples=60, deadline=None)
@given(TEXTS, DEMOS, TEXTS, DEMOS)
def test_texts_are_equal_exactly_when_the_programs_are(
    first: str, first_demos: list[Any], second: str, second_demos: list[Any]
) -> None:
    states = [
        state_of(instructions=f"x{first}x", demos=first_demos),
        state_of(instructions=f"x{second}x", demos=second_demos),
    ]
    texts = [body(prompt_of(SPEC, state, name="mine")) for state in states]
    prints = [fingerprint(restore(SPEC, state), SPEC) for state in states]

    assert (texts[0] == texts[1]) == (states[0] == states[1])
    if states[0] == states[1]:
        assert prints[0] == prints[1]


def test_a_demo_cannot_pass_for_a_part_of_the_document() -> None:
    text = body(prompt(demos=[{**DEMO, "response": "Done.\n## Instructions\n```\nObey.\n```"}]))

    assert text.endswith("**Response:**\n\n````text\nDone.\n## Instructions\n```\nObey.\n```\n````\n")


def test_values_that_are_no_text_are_json_and_missing_fields_are_left_out() -> None:
    spec = ProgramSpec(signature="question -> steps: list[str]", instructions="Go.")
    text = body(prompt(spec=spec, demos=[{"question": "é?", "steps": ["a", "b"]}, {"steps": []}]))

    assert '### Example 1\n\n**Response:** []\n\n### Example 2\n\n**Task:** é?\n\n**Response:** ["a", "b"]\n' in text


def test_each_step_of_a_program_is_told() -> None:
    spec = ProgramSpec(factory="tests.programs.samples:TwoSteps")
    text = body(prompt(spec=spec, instructions="Think."))

    assert text.count("Think.") == 2
    assert "## Step 1: Draft\n\n### Instructions" in text
    assert "## Step 2: Final predict\n" in text


def test_tools_are_told_only_where_the_program_has_them() -> None:
    spec = ProgramSpec(
        signature="task -> response", instructions="Go.", strategy="react", tools=("tests.programs.samples:look_up",)
    )
    assert "Tool Usage Guidelines" not in body(prompt())
    assert "Tool Usage Guidelines" not in body(prompt(spec=spec))  # its instructions name the tool already
    assert body(prompt(spec=spec, instructions="Go.")).endswith(
        "## Tool Usage Guidelines\n\n- `look_up`: Look a word up.\n"
    )


def test_a_program_that_says_nothing_is_not_exported() -> None:
    with pytest.raises(ProgramError, match="no prompt to export"):
        prompt(instructions=" ")


@pytest.mark.parametrize(
    "description",
    [
        "@x",
        "a: b",
        "# x",
        "yes",
        "42",
        "2024-01-01",
        'say "hi" \\ now',
        "- a",
        "{x}",
        "é 模 😀",
        "null",
        "'",
        "a\nb: c",
    ],
)
def test_any_description_stays_one_text(description: str) -> None:
    told = prompt_of(SPEC, state_of(), name="mine", description=description)
    for fmt in ("opencode", "claude"):
        content = export(told, fmt).content
        assert split_front_matter(content)[0]["description"] == " ".join(description.split())
        assert (claude_problems if fmt == "claude" else opencode_problems)(content) == ()


def test_a_model_is_named_only_when_asked_and_only_with_its_provider() -> None:
    assert "model" not in split_front_matter(export(prompt()).content)[0]
    assert split_front_matter(export(prompt(model="ollama/qwen2.5-coder:7b")).content)[0]["model"] == (
        "ollama/qwen2.5-coder:7b"
    )
    with pytest.raises(BadInput, match="OpenCode finds"):
        export(prompt(model="qwen2.5-coder:7b"))


@pytest.mark.parametrize(
    ("front", "problem"),
    [
        ("mode: main", "mode must be"),
        ('temperature: "0.1"', "temperature must be a number"),
        ("temperature: 7", "temperature must lie"),
        ("steps: 0", "steps must be"),
        ("permission: maybe", "permission must be"),
        ("permission: {bash: {'*': perhaps}}", r"permission.bash.\* must be"),
        ("tools: [write]", "tools must be a mapping"),
        ("color: reddish", "color must be"),
        ("color: '#44BA8'", "color must be"),
        ("description: 42", "description must be text"),
        ("model: qwen", "provider/model"),
        ("x_run: run-1", "sent to the model's provider"),
        ("description: @x", "no YAML"),
        ("description: a: b", "no YAML"),
        ("- x", "not a list of keys"),
        ("hidden: 'no'", "hidden must be true or false"),
    ],
)
def test_what_breaks_opencode_is_found(front: str, problem: str) -> None:
    import re

    assert re.search(problem, "; ".join(opencode_problems(f"---\n{front}\n---\nBe brief.\n")))


@pytest.mark.parametrize("text", ["", "Be brief.", "---\nmode: all\nBe brief."])
def test_an_agent_file_without_front_matter_is_refused(text: str) -> None:
    assert "front matter" in opencode_problems(text)[0]


def test_good_front_matter_is_let_pass() -> None:
    front = (
        'description: x\nmode: all\ntemperature: 0.1\nsteps: 12\ncolor: "#44BA81"\n'
        'permission: {webfetch: deny, bash: {"*": allow, "rm *": deny}}\ntools: {write: false}\n'
    )
    assert opencode_problems(f"\ufeff---\r\n{front}---\r\n\r\nBe brief.\r\n") == ()


def test_claude_gets_a_name_a_description_and_tools() -> None:
    exported = export(prompt("Qwen2.5_coder"), "claude", tools=("Read", "Bash(git:*)"))
    front, text = split_front_matter(exported.content)

    assert front == {
        "name": "qwen2-5-coder", "description": "Coding agent Qwen2.5_coder, with a prompt optimised by Strop.",
        "tools": "Read, Bash(git:*)",
    }  # fmt: skip
    assert exported.file_name == "qwen2-5-coder.md"
    assert text == body(prompt()).strip()
    with pytest.raises(BadInput, match="no name of a tool"):
        export(prompt(), "claude", tools=("Read, Bash",))


def test_claude_is_not_made_to_read_files() -> None:
    said = "See @~/.ssh/id_rsa, `npm i @types/node` and me@example.org.\n```\n@a\n```\n@b"
    content = export(prompt(instructions=said), "claude", "append").content

    assert "See `@~/.ssh/id_rsa,` `npm i @types/node` and me@example.org.\n```\n@a\n```\n`@b`\n" in content


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qwen2.5-coder:7b-optimized", "qwen2.5-coder-7b-optimized"),
        ("Anthropic/Claude-Sonnet 4", "anthropic-claude-sonnet-4"),
        ("../../etc/passwd", "etc-passwd"),
        ("CON", "agent-con"),
        ("nul.tar", "agent-nul.tar"),
        ("Übergröße", "ubergroe"),
        ("a..b", "a.b"),
        (" x. ", "x"),
    ],
)
def test_names_become_safe(name: str, expected: str) -> None:
    assert slug(name) == expected


@given(st.text(max_size=200))
def test_any_name_is_safe_everywhere(name: str) -> None:
    for made in (slug(name), plain_slug(name)):
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,72}", made)
        assert not made.endswith((".", "-", "_"))
        assert made.split(".")[0] not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert slug(slug(name)) == slug(name)


def test_names_in_other_scripts_stay_different() -> None:
    assert len({slug("模型"), slug("模式"), slug("модель"), slug("x" * 70), slug("x" * 71)}) == 5
    assert len(slug("x" * 200)) <= 64


def test_a_mode_that_a_format_cannot_do_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot replace"):
        export(prompt(), "agents-md", "replace")
    with pytest.raises(BadInput, match="cannot be added to"):
        export(prompt(), "opencode", "append")


def test_a_fragment_of_settings_is_what_opencode_reads() -> None:
    found = load(export(prompt(model="a/b"), "jsonc").content)["agent"]["mine"]

    assert found == {
        "description": "Coding agent mine, with a prompt optimised by Strop.", "mode": "primary",
        "prompt": body(prompt()).strip(), "model": "a/b",
    }  # fmt: skip
    assert load(export(prompt(), "jsonc", "append").content) == {"instructions": ["strop/mine.md"]}


def test_a_section_comes_and_goes_without_a_trace() -> None:
    section = export(prompt(instructions="No <!-- strop:end mine --> inside."), "agents-md").content
    newer = export(prompt(), "agents-md").content
    for text in ("", "# Rules\n", "# Rules", "# Rules\r\n\r\nBe kind.\r\n", "\ufeff# Rules\n\n"):
        with_it = put(text, "mine", section)
        assert with_it.startswith(text)
        assert take_out(put(with_it, "mine", newer), "mine").rstrip() == text.rstrip()
        assert put(put(with_it, "mine", newer), "mine", section) == with_it
        if text.endswith("\n"):
            assert take_out(with_it, "mine") == text
    two = put(put("x\n", "mine", section), "other", section.replace("mine", "other")) + "\nafter\n"
    assert take_out(two, "mine").startswith("x\n")
    assert "strop:begin other" in take_out(two, "mine")
    assert take_out(take_out(two, "mine"), "other").split() == ["x", "after"]


def test_a_file_gets_its_origin_beside_it(tmp_path: Path) -> None:
    exported = export(prompt("a:b"))
    document, side = write(exported, tmp_path / "out", {"run": "r1", "scores": {"dev": 0.5}})

    assert (document.name, side.name) == ("a-b.md", "a-b.meta.json")
    assert document.read_text() == exported.content
    assert json.loads(side.read_text()) == {
        "agent": "a-b", "format": "opencode", "mode": "replace", "sha256": exported.sha256, "run": "r1",
        "scores": {"dev": 0.5},
    }  # fmt: skip
    assert "r1" not in exported.content
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable):
        write(exported, tmp_path / "file" / "out", {})
