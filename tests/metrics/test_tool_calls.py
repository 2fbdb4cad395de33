"""Plans of tool calls are read however a model writes them, and what is no plan is not read as one."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.metrics import ToolCall, plan_text, tool_calls

PLAN = [("read", "src/cart.py"), ("edit", "src/cart.py"), ("bash", "pytest -q")]


def pairs(plan: object) -> list[tuple[str, str]]:
    return [(call.tool, call.argument) for call in tool_calls(plan)]


@pytest.mark.parametrize(
    "written",
    [
        "read(src/cart.py); edit(src/cart.py); bash(pytest -q)",
        "read(src/cart.py);edit(src/cart.py);bash(pytest -q)",
        'read("src/cart.py")\nedit("src/cart.py")\nbash("pytest -q")',
        "First I will read(src/cart.py), then edit(src/cart.py) and at last bash(pytest -q).",
        'read(filePath="src/cart.py"); edit(path="src/cart.py", oldString="a(", new="b"); bash(cmd="pytest -q")',
        'Read({"filePath": "src/cart.py"}); Edit({"filePath": "src/cart.py"}); Bash({"command": "pytest -q"})',
        "1. read src/cart.py\n2. edit src/cart.py\n3. bash pytest -q",
        "- read: `src/cart.py`\n- edit: `src/cart.py`\n- bash: `pytest -q`",
        '[{"tool": "read", "args": {"filePath": "src/cart.py"}}, {"tool": "edit", "args": {"filePath": "src/cart.py"}},'
        ' {"tool": "bash", "args": {"command": "pytest -q"}}]',
        "```json\n" + json.dumps([{"name": tool, "arguments": {"path": on}} for tool, on in PLAN]) + "\n```",
        "[{'tool': 'read', 'args': {'path': 'src/cart.py'}}, {'tool': 'edit', 'args': 'src/cart.py'},"
        " {'tool': 'shell', 'args': {'command': ['pytest', '-q']}}]",
        [{"function": {"name": tool, "arguments": json.dumps({"path": on})}} for tool, on in PLAN],
        {"steps": [{"tool": tool, "input": {"path": on}} for tool, on in PLAN]},
        [f"{tool}({on})" for tool, on in PLAN],
    ],
)
def test_one_plan_in_many_hands(written: object) -> None:
    assert pairs(written) == PLAN


@pytest.mark.parametrize(
    "nothing",
    ["", "Done, everything works.", "Read the file first and edit it then", "Write tests for the cart", None, 7, [],
     [None, 3], {}, "{", "[1, 2", '{"tool": 5}', "(((", "List all customers with --json"],
)  # fmt: skip
def test_what_is_no_plan(nothing: object) -> None:
    assert tool_calls(nothing) == ()


def test_brackets_and_quotes_inside_a_command_belong_to_it() -> None:
    assert pairs('bash(python -c "print(1); f(2)"); read(a (copy).py)') == [
        ("bash", 'python -c "print(1); f(2)"'),
        ("read", "a (copy).py"),
    ]


def test_the_pattern_of_a_search_and_not_its_place_says_what_is_looked_for() -> None:
    assert pairs([{"tool": "grep", "args": {"path": "src", "pattern": "def total"}}]) == [("grep", "def total")]


def test_a_patch_is_about_its_files() -> None:
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n-x\n+y\n*** Add File: b.py\n+z\n*** End Patch"
    assert pairs([{"tool": "apply_patch", "args": {"input": patch}}]) == [("edit", "a.py b.py")]


@given(st.lists(st.tuples(st.sampled_from(["read", "edit", "bash", "task"]), st.text(max_size=40)), max_size=6))
def test_a_written_plan_is_read_back(calls: list[tuple[str, str]]) -> None:
    text = plan_text([{"tool": tool, "args": {"command": on}} for tool, on in calls])
    assert pairs(text) == [(tool, on.strip()) for tool, on in calls]
    assert "\n" not in text


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(isinstance(call, ToolCall) for call in tool_calls(text))


@pytest.mark.parametrize(
    "text", ["read(" * 20_000, "[" * 60_000, "- read " + "a" * 60_000, "a" * 60_000, "bash(x=" * 9_000]
)
def test_hostile_text_takes_no_time(text: str) -> None:
    began = time.perf_counter()
    tool_calls(text)
    assert time.perf_counter() - began < 3
