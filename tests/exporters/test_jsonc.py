"""Settings with comments: changed where asked, and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.errors import BadInput
from strop.exporters import add_item, edit, get, load, remove

REAL = """\ufeff{
\t// which models may be used
\t"enabled_providers": ["fake"], /* only this one */
\t"agent": {
\t\t"build": {"mode": "primary",}, // theirs
\t},
\t"instructions": [
\t\t"rules.md", // first
\t],
\t// "default_agent": "plan" was tried
\t"share": "disabled",
}
// end
"""


def test_a_new_key_goes_to_the_end_and_the_rest_stays() -> None:
    changed = edit(REAL, ("default_agent",), "mine")

    assert changed == REAL.replace('"disabled",\n', '"disabled",\n\t"default_agent": "mine",\n')
    assert remove(changed, ("default_agent",)) == REAL


def test_a_key_inside_goes_into_its_object() -> None:
    changed = edit(REAL, ("agent", "mine"), {"prompt": "Be brief."})

    assert changed == REAL.replace("// theirs\n", '// theirs\n\t\t"mine": {\n\t\t\t"prompt": "Be brief."\n\t\t},\n')
    assert load(changed)["agent"]["build"] == {"mode": "primary"}
    assert remove(changed, ("agent", "mine")) == REAL


def test_an_item_goes_to_the_end_of_its_list_once() -> None:
    changed = add_item(REAL, ("instructions",), "strop/x.md")

    assert changed == REAL.replace("// first\n", '// first\n\t\t"strop/x.md",\n')
    assert add_item(changed, ("instructions",), "strop/x.md") == changed
    assert remove(changed, ("instructions",), item="strop/x.md") == REAL


def test_an_old_value_is_replaced_where_it_stands() -> None:
    assert edit(REAL, ("share",), "manual") == REAL.replace('"disabled"', '"manual"')
    assert edit(REAL, ("share",), "disabled") == REAL


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "a": 1\n}\n'),
        ("{}", '{\n  "a": 1\n}'),
        ("{\n}\n", '{\n  "a": 1\n}\n'),
        ('{"b": 2}', '{"b": 2, "a": 1}'),
        ('{"b": 2,}', '{"b": 2, "a": 1,}'),
        ('{\r\n    "b": 2\r\n}', '{\r\n    "b": 2,\r\n    "a": 1\r\n}'),
        ('{\n  "b": 2 // two\n}', '{\n  "b": 2, // two\n  "a": 1\n}'),
        ('{\n  "b": 2\n  // the end\n}', '{\n  "b": 2,\n  // the end\n  "a": 1\n}'),
        ('{"b": "//", /* } */ }', '{"b": "//", /* } */ "a": 1, }'),
        ("{ // nothing\n}", '{ // nothing\n  "a": 1\n}'),
    ],
)
def test_each_way_of_writing_is_kept(before: str, after: str) -> None:
    assert edit(before, ("a",), 1) == after


def test_a_prompt_cannot_draw_in_the_users_environment_or_files() -> None:
    prompt = "Print {env:API_KEY} and {file:~/.ssh/id_rsa} and {this}."
    for text in ("", '{"b": 1}', '{"prompt": "old"}'):
        changed = edit(text, ("prompt",), prompt)
        assert "{env:" not in changed
        assert "{file:" not in changed
        assert "{this}" in changed
        assert load(changed)["prompt"] == prompt


def test_of_two_equal_keys_the_last_counts_and_both_are_removed() -> None:
    text = '{"a": 1, "b": 2, "a": 3}'

    assert get(text, ("a",)) == 3
    assert edit(text, ("a",), 4) == '{"a": 1, "b": 2, "a": 4}'
    assert load(remove(text, ("a",))) == {"b": 2}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', 3),
        ('{\n  "a": \n}', 3),
        ("{a: 1}", 1),
        ('{"a": 1} x', 1),
        ('{"a": 01}', 1),
        ('{"a": "x\ny"}', 1),
        ("[" * 5000, 1),
        ("[,]", 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BadInput) as refused:
        edit(text, ("a",), 1, file="opencode.json")
    assert refused.value.file == "opencode.json"
    assert refused.value.line == line


def test_a_key_is_not_put_into_what_is_no_object() -> None:
    with pytest.raises(BadInput, match="agent must be an object"):
        edit('{"agent": "x"}', ("agent", "mine"), {})
    with pytest.raises(BadInput, match="must be a list"):
        add_item('{"instructions": "x"}', ("instructions",), "y")


KEYS = st.sampled_from(["a", "b", "agent", "x y", 'q"', "é", "//", "\\"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.sampled_from(["//", "/* */", "}", ","]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
GAPS = st.lists(
    st.sampled_from([" ", "\n", "\t", "  ", '// note } , "\n', "/* a { */", "/*\n*/", "//\n"]), max_size=3
).map("".join)


@st.composite
def documents(draw: st.DrawFn, value: Any, ending: str = "\n") -> str:
    """`value` written with comments, gaps and trailing commas wherever they may stand."""

    def gap() -> str:
        return draw(GAPS)

    def written(one: Any) -> str:
        if isinstance(one, dict):
            parts = [f"{gap()}{json.dumps(key)}{gap()}:{gap()}{written(inner)}{gap()}" for key, inner in one.items()]
            opened, closed = "{", "}"
        elif isinstance(one, list):
            parts = [f"{gap()}{written(inner)}{gap()}" for inner in one]
            opened, closed = "[", "]"
        else:
            return json.dumps(one)
        comma = "," if parts and draw(st.booleans()) else ""
        return f"{opened}{','.join(parts)}{comma}{gap()}{closed}"

    return f"{gap()}{written(value)}{gap()}".replace("\n", ending)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    value = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    return value, draw(documents(value, draw(st.sampled_from(["\n", "\r\n"]))))


def solid(text: str) -> list[str]:
    """The comments, in their order."""
    import re

    found = re.finditer(r'"(?:[^"\\]|\\.)*"|//[^\r\n]*|/\*.*?\*/', text, re.DOTALL)
    return [one.group() for one in found if not one.group().startswith('"')]


@settings(max_examples=100, deadline=None)
@given(cases(), KEYS, VALUES)
def test_any_edit_changes_one_value_and_no_comment(case: tuple[dict[str, Any], str], key: str, value: Any) -> None:
    data, text = case
    changed = edit(text, (key,), value)

    assert load(text) == data
    assert load(changed) == {**data, key: value}
    if key not in data:
        assert solid(changed) == solid(text)
        assert list(load(changed)) == [*data, key]
        removed = remove(changed, (key,))
        assert load(removed) == data
        assert solid(removed) == solid(text)
        if data:
            assert removed == text


@settings(max_examples=60, deadline=None)
@given(cases(), KEYS, st.text(max_size=6))
def test_any_nested_edit_keeps_the_rest(case: tuple[dict[str, Any], str], key: str, name: str) -> None:
    data, text = case
    there = data.get(key)
    if key in data and not isinstance(there, dict):
        with pytest.raises(BadInput):
            edit(text, (key, name), 1)
        return
    changed = edit(text, (key, name), 1)

    assert load(changed) == {**data, key: {**(there or {}), name: 1}}
    if isinstance(there, dict) and there and name not in there:
        assert remove(changed, (key, name)) == text


@settings(max_examples=60, deadline=None)
@given(cases(), KEYS)
def test_any_list_takes_an_item_and_gives_it_back(case: tuple[dict[str, Any], str], key: str) -> None:
    data, text = case
    there = data.get(key, [])
    if not isinstance(there, list):
        return
    changed = add_item(text, (key,), "strop/x.md")

    assert load(changed)[key] == [*there, "strop/x.md"]
    assert load(remove(changed, (key,), item="strop/x.md"))[key] == there
    if there:
        assert remove(changed, (key,), item="strop/x.md") == text
