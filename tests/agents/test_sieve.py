"""A sieve leaves out no text that holds what is looked for, wherever it lies and whatever its case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.agents.sieve import Sieve

GROUPS = {1: ["key", "a_ky"], 2: ["@"], 4: ["private key"], 8: ["://"], 16: ["abcde"]}
SIEVE = Sieve(GROUPS)


def held(text: str) -> int:
    """The bits of the groups whose strings are in a text, looked for one by one."""
    lower = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    return sum(bit for bit, strings in GROUPS.items() if any(string in lower for string in strings))


PIECES = st.sampled_from(
    ["key", "KEY", "a_ky", "@", "Private KEY", "://", "aBcDe", "a", "k", " ", "\n", "é", "ſ", "中", "😀", "\ud83d"]
)


@given(st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=5))
def test_no_text_that_holds_something_is_left_out(texts: list[str]):
    found = SIEVE.sift(texts)
    for index, text in enumerate(texts):
        assert found.get(index, 0) & held(text) == held(text)
    assert found.keys() <= set(range(len(texts)))


@pytest.mark.parametrize(
    "before", [0, 1, 2, 3, 2**17 - 7, 2**17 - 4, 2**17 - 2, 2**17 - 1, 2**17, 2**18 - 3, 2**18 + 1]
)
def test_a_string_is_found_at_every_place_of_a_long_text(before: int):
    for string in ("key", "a_ky", "private key", "abcde", "@"):
        assert SIEVE.sift([f"{'-' * before}{string}"]) == {0: held(string)}
        assert SIEVE.sift(["x" * before, string, "x"]) == {1: held(string)}


def test_ordinary_text_is_left_out():
    words = "The quick brown fox jumps over the lazy dog, and nobody minds: 42 times; return [x for x in y]\n"
    assert SIEVE.sift([words * 1000, "", words]) == {}
    assert SIEVE.sift([]) == {}
