"""Damage to logs: each mutation takes the bytes of a file and a random source, and gives back other bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

_RAW = re.compile(r'"@raw:(.*?):raw@"')
_OTHER: tuple[Any, ...] = (
    None, True, False, 0, -1, 3.5, 10**30, "", "x", "\u0000", "{", [], [[]], [None], {}, {"": {}}, {"type": "text"},
    [{"type": "tool_use"}], "2026-13-45T99:99:99Z", -(10**18), 1e300,
)  # fmt: skip
_DEEP = 10_000


def documents(data: bytes) -> tuple[list[Any], bool]:
    """The JSON values of a file, and whether they stand one a line."""
    text = data.decode()
    try:
        return [json.loads(text)], False
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()], True


def rewritten(data: bytes, change: Callable[[list[tuple[Any, Any]], list[Any]], None]) -> bytes:
    """The file after `change` was given every place (container, key or index) in it. Raw JSON text goes in by `raw`."""
    values, lined = documents(data)
    places: list[tuple[Any, Any]] = []
    todo: list[Any] = [values]
    while todo:
        here = todo.pop()
        for key in here if isinstance(here, dict) else range(len(here)):
            places.append((here, key))
            if isinstance(here[key], dict | list):
                todo.append(here[key])
    change(places, values)
    text = "\n".join(json.dumps(value, indent=None if lined else 1) for value in values) + "\n"
    return _RAW.sub(lambda found: json.loads(f'"{found[1]}"'), text).encode()


def raw(text: str) -> str:
    """A value that is written into the file as it stands here, be it JSON or not."""
    return f"@raw:{text}:raw@"


def put(make: Callable[[Random], Any], times: int = 1) -> Mutation:
    """Some values of the file replaced by others."""

    def mutate(data: bytes, random: Random) -> bytes:
        def change(places: list[tuple[Any, Any]], values: list[Any]) -> None:
            for container, key in random.sample(places, min(times, len(places))):
                container[key] = make(random)

        return rewritten(data, change)

    return mutate


def truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def torn(data: bytes, random: Random) -> bytes:
    """A piece out of the middle is missing, as after a crash while two writers wrote."""
    start = random.randrange(len(data))
    return data[:start] + data[start + random.randrange(1, 400) :]


def reordered(data: bytes, random: Random) -> bytes:
    def change(places: list[tuple[Any, Any]], values: list[Any]) -> None:
        random.shuffle(values)
        for container, key in places:
            if isinstance(container[key], list):
                random.shuffle(container[key])

    return rewritten(data, change)


def doubled(data: bytes, random: Random) -> bytes:
    """Entries that come twice, and sessions inside of others."""

    def change(places: list[tuple[Any, Any]], values: list[Any]) -> None:
        lists = [container[key] for container, key in places if isinstance(container[key], list) and container[key]]
        for entries in [values, *random.sample(lists, min(3, len(lists)))]:
            entries.insert(random.randrange(len(entries) + 1), random.choice(entries))

    return rewritten(data, change)


def thinned(data: bytes, random: Random) -> bytes:
    """Keys that are gone."""

    def change(places: list[tuple[Any, Any]], values: list[Any]) -> None:
        for container, key in random.sample(places, len(places) // 10 + 1):
            if isinstance(container, dict):
                container.pop(key, None)

    return rewritten(data, change)


def binary(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(200) + data[at:]


def duplicate_keys(data: bytes, random: Random) -> bytes:
    text = data.decode()
    names = re.findall(r'"(\w+)":', text)
    key = random.choice(names)
    value = random.choice(["1", "null", "[]", '"x"'])
    return text.replace("{", f'{{"{key}": {value}, ', 50).encode()


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated,
    "torn": torn,
    "reordered": reordered,
    "doubled": doubled,
    "thinned": thinned,
    "wrong type": put(lambda random: random.choice(_OTHER)),
    "many wrong types": put(lambda random: random.choice(_OTHER), times=25),
    "binary": binary,
    "zero bytes": lambda data, random: data[: len(data) // 2] + bytes(4096),
    "deep list": put(lambda random: raw("[" * _DEEP + "]" * _DEEP)),
    "deep object": put(lambda random: raw('{"a":' * _DEEP + "1" + "}" * _DEEP)),
    "deep enough to be parsed": put(lambda random: raw("[" * 900 + "]" * 900), times=3),
    "not a number": put(lambda random: raw(random.choice(["NaN", "Infinity", "-Infinity", "1e999"])), times=2),
    "number of 400 digits": put(lambda random: raw("9" * 400), times=3),
    "duplicate keys": duplicate_keys,
    "half an emoji": put(lambda random: raw(r'"\ud83d and \udc00"'), times=3),
    "not UTF-8": lambda data, random: data.replace(b"e", b"\xff", 3),
    "byte order mark": lambda data, random: b"\xef\xbb\xbf" + data,
    "CRLF": lambda data, random: data.replace(b"\n", b"\r\n"),
    "UTF-16": lambda data, random: data.decode().encode("utf-16"),
    "empty": lambda data, random: b"",
    "blank": lambda data, random: b" \n\r\n\t\n",
    "one brace": lambda data, random: b"{",
    "null": lambda data, random: b"null\n",
    "a list of nothing": lambda data, random: b"[null, 1, []]",
    "twice": lambda data, random: data + data,
}

HUGE: dict[str, Mutation] = {
    "long text": put(lambda random: "x\n" * 1_000_000),
    "long list": put(lambda random: [{"type": "text", "text": "x"}] * 30_000),
    "wide object": put(lambda random: {f"key{number}": number for number in range(30_000)}),
    "one long line": lambda data, random: data.replace(b"\n", b" ") + b" " * 2_000_000,
    "many lines": lambda data, random: data * (1_500_000 // len(data)),
    "many broken lines": lambda data, random: b'{"type": \n' * 3_000,
    "long key": put(lambda random: {"k" * 3_000_000: 1}),
}
