"""What a token costs: a dated table in the package, the user's own above it, and an error for everything else."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

from strop.errors import BadInput, PriceUnknown
from strop.gateway.money import PICO

MILLION = 1_000_000
KEYS = ("input", "output", "cached_input", "cache_write", "reasoning")
LONG_KEYS = ("input", "output", "cached_input", "cache_write")
_INPUT_PRICES = ("cached_input", "cache_write", "long_input", "long_cached_input", "long_cache_write")
# Chat templates and tool frames add tokens that are not in the text; providers document single digits a message.
FRAME_TOKENS, FRAME_TOKENS_PER_MESSAGE = 64, 16


@dataclass(frozen=True, kw_only=True)
class TokenUse:
    """Tokens of one answer as counted by the provider. `cached` and `cache_write` are parts of `input`, `reasoning` of
    `output`."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, kw_only=True)
class Price:
    """Picodollars a token. The `long_*` prices hold for requests of more than `long_above` input tokens."""

    model: str
    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    long_above: int | None = None
    long_input: int | None = None
    long_output: int | None = None
    long_cached_input: int | None = None
    long_cache_write: int | None = None
    max_output: int | None = None
    dated: str = ""

    def cost(self, use: TokenUse) -> int:
        """Exact picodollars of one answer: uncached input, cached reads, cache writes, visible output, reasoning."""
        long = self.long_above is not None and use.input > self.long_above
        price_in = _first(self.long_input if long else None, self.input)
        price_out = _first(self.long_output if long else None, self.output)
        cached = _first(self.long_cached_input if long else None, self.cached_input, price_in)
        written = _first(self.long_cache_write if long else None, self.cache_write, price_in)
        plain = max(0, use.input - use.cached - use.cache_write)
        reasoning = min(use.reasoning, use.output)
        return (
            plain * price_in
            + use.cached * cached
            + use.cache_write * written
            + (use.output - reasoning) * price_out
            + reasoning * _first(self.reasoning, price_out)
        )

    def worst_case(self, *, text_bytes: int, messages: int, output_limit: int) -> int:
        """Upper bound in picodollars; `text_bytes` is the `byte_bound` of the request."""
        tokens_in = text_bytes + FRAME_TOKENS + FRAME_TOKENS_PER_MESSAGE * messages
        price_in = max(self.input, *(getattr(self, name) or 0 for name in _INPUT_PRICES))
        price_out = max(self.output, self.reasoning or 0, self.long_output or 0)
        return tokens_in * price_in + output_limit * price_out

    def snapshot(self) -> str:
        """The price as stored beside each call, in USD per million tokens."""
        shown = {key: getattr(self, key) for key in KEYS if getattr(self, key) is not None}
        return json.dumps(
            {"dated": self.dated, **{k: float(Decimal(v) * MILLION / PICO) for k, v in shown.items()}}, sort_keys=True
        )


def byte_bound(body: bytes) -> int:
    """Most tokens that the text of a request can be: no tokenizer in use makes more of them than there are UTF-8 bytes.

    Some normalise the text first (NFKC), which may lengthen it: one Arabic ligature becomes a sentence.
    """
    if body.isascii():
        return len(body)
    return max(len(body), len(unicodedata.normalize("NFKC", body.decode()).encode()))


def _per_token(value: Any, *, model: str, key: str, file: str) -> int:
    try:
        amount = Decimal(-1) if isinstance(value, bool) else Decimal(str(value))
    except ArithmeticError:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise BadInput(f"price {key!r} of {model!r} must be USD per million tokens, got {value!r}", file=file)
    return int(-(-amount * PICO // MILLION))


def _price(model: str, row: Mapping[str, Any], *, dated: str, file: str) -> Price:
    missing = [key for key in ("input", "output") if row.get(key) is None]
    if missing:
        raise BadInput(f"price of {model!r} lacks {' and '.join(missing)} (USD per million tokens)", file=file)
    read = {key: _per_token(row[key], model=model, key=key, file=file) for key in KEYS if row.get(key) is not None}
    long = _long(model, row.get("long"), file=file)
    max_output = _count(row.get("max_output"), model=model, key="max_output", file=file)
    return Price(model=model, **read, **long, max_output=max_output, dated=dated)


def _long(model: str, long: Any, *, file: str) -> dict[str, int]:
    """The prices of requests of more than `above` input tokens."""
    if long is None:
        return {}
    if not isinstance(long, dict) or not set(cast(dict[Any, Any], long)) <= {"above", *LONG_KEYS}:
        raise BadInput(
            f"price 'long' of {model!r} must be {{above: tokens, {': USD, '.join(LONG_KEYS)}: USD}}", file=file
        )
    given = cast(dict[str, Any], long)
    above = _count(given.get("above"), model=model, key="long.above", file=file)
    if above is None:
        raise BadInput(f"price 'long' of {model!r} lacks above: more input tokens than which it holds for", file=file)
    prices = {
        f"long_{key}": _per_token(given[key], model=model, key=f"long.{key}", file=file)
        for key in LONG_KEYS
        if given.get(key) is not None
    }
    return {"long_above": above, **prices}


def _count(value: Any, *, model: str, key: str, file: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise BadInput(f"{key!r} of {model!r} must be a number of tokens, got {value!r}", file=file)
    return value


def _first(*values: int | None) -> int:
    """The first that is known."""
    return next(value for value in values if value is not None)


@cache
def _packaged() -> tuple[str, Mapping[str, Mapping[str, Any]]]:
    table = json.loads(resources.files("strop.gateway").joinpath("prices.json").read_text("utf-8"))
    return str(table["dated"]), table["models"]


class PriceTable:
    """Prices by model name: the user's file first (names may end in `*`), then the package's dated table."""

    def __init__(self, own: Mapping[str, Mapping[str, Any]] | None = None, *, file: str = "prices.yaml") -> None:
        self._own = dict(own or {})
        self._file = file

    @classmethod
    def load(cls, path: Path | None) -> PriceTable:
        """Read the user's prices from a YAML or JSON file of `model: {input, output, cached_input, ...}`.

        Raises:
            BadInput: the file is no mapping of models to prices.
        """
        if path is None or not path.exists():
            return cls()
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            table = YAML(typ="safe").load(path.read_text("utf-8")) or {}
        except (YAMLError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot be read as YAML: {error}", file=str(path)) from error
        if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
            raise BadInput("must map model names to {input: USD, output: USD} per million tokens", file=str(path))
        for model, row in table.items():
            if not isinstance(model, str) or "*" in model[:-1]:
                raise BadInput(f"{model!r} is not a model's name, which may end in '*' only", file=str(path))
            unknown = [key for key in row if key not in {*KEYS, "max_output", "long"}]
            if unknown:
                raise BadInput(f"price of {model!r} has an unknown key {unknown[0]!r}", file=str(path))
            _price(model, row, dated="own", file=str(path))
        return cls(table, file=str(path))

    @property
    def dated(self) -> str:
        """Date of the package's table."""
        return _packaged()[0]

    def names(self) -> list[str]:
        """Every priced model, the user's own first."""
        return [*self._own, *(name for name in _packaged()[1] if name not in self._own)]

    def price(self, model: str) -> Price:
        """Price of `model`.

        Raises:
            PriceUnknown: nobody said what it costs.
        """
        if model.startswith("embedded/"):
            return self._embedded(model)
        fits = [name for name in self._own if name == model or (name.endswith("*") and model.startswith(name[:-1]))]
        if fits:
            # The most precise name decides: the model's own, then the longest that fits.
            name = max(fits, key=lambda name: (name == model, len(name)))
            return _price(model, self._own[name], dated="own", file=self._file)
        dated, table = _packaged()
        if model in table:
            return _price(model, table[model], dated=dated, file="prices.json")
        if model.startswith(("ollama/", "ollama_chat/")):
            return Price(model=model, input=0, output=0, dated="runs on your machine")
        raise PriceUnknown(model, near=self._near(model))

    def _embedded(self, model: str) -> Price:
        from strop.embedded import MODELS

        if model not in MODELS:
            raise PriceUnknown(model, embedded=tuple(MODELS))
        who = MODELS[model]
        row = {"input": who.input_usd_per_million, "output": who.output_usd_per_million}
        return _price(model, row, dated="practice price, never billed", file="embedded")

    def _near(self, model: str) -> str | None:
        """The known name that `model` may be a slip of."""
        from strop.embedded import MODELS

        names = {name.lower(): name for name in (*MODELS, *self.names())}
        return next((names[found] for found in difflib.get_close_matches(model.lower(), names, n=1, cutoff=0.8)), None)
