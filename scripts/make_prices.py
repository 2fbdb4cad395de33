"""Makes `src/strop/gateway/prices.json`: list prices of current chat models, from the tables in two dependencies.

    python scripts/make_prices.py [--check]

LiteLLM's own table comes first; OpenRouter, which LiteLLM no longer lists, is read from the older LiteLLM table inside
DSPy. Both are MIT. The date is when the litellm release was uploaded, as `uv.lock` records it; models whose makers had
retired them by then are left out. `--check` changes nothing and fails when the file is not what would be made.
"""

import argparse
import gzip
import importlib.metadata
import importlib.util
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRICES = ROOT / "src/strop/gateway/prices.json"

PREFIX = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "mistral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "xai": "xai",
    "together_ai": "together_ai",
    "openrouter": "openrouter",
    "fireworks_ai": "fireworks_ai",
    "cohere": "cohere",
    "cohere_chat": "cohere",
}
"""From LiteLLM's provider to the prefix of a DSPy model name."""

# Tokens are not all that these bill (searches, seconds, agents' steps), or they are no chat models answering at once.
OTHER_BILLING = re.compile(
    r"search|perplexity|deep-research|computer-use|multi-agent|audio|voxtral|-tts|-live|lyria|robotics|image|flux|whisper"
    r"|container|guard|safety|ocr|omni|realtime|relace|:online|:batch|:free|firerouter|routers/auto|/router$|openrouter/openrouter"
)
# Superseded for years, or a size class ("together-ai-up-to-4b") instead of a model.
OLD = re.compile(
    r"ft:|gpt-3\.5|gpt-4-(?!turbo$)|/o1|gemini-exp|gemma-?2|learnlm|together-ai-|llama-?2|llama-3-|llama-3\.[12]|codellama|wizardlm"
    r"|phi-|hermes-2|mixtral|mistral-7b|magnum|qwen-?2|qwen-72|deepseek-coder|claude-3|-distill-|-base-|-1\.5b",
    re.IGNORECASE,
)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    made = render(table())
    if check:
        if PRICES.exists() and PRICES.read_text() == made:
            return 0
        print(f"{PRICES.relative_to(ROOT)} is stale: run scripts/make_prices.py", file=sys.stderr)
        return 1
    PRICES.write_text(made)
    counts = Counter(name.split("/")[0] for name in json.loads(made)["models"])
    print(f"{PRICES.relative_to(ROOT)}: {sum(counts.values())} models, {len(made) / 1000:.0f} kB; {dict(counts)}")
    return 0


def table() -> dict[str, Any]:
    version = importlib.metadata.version("litellm")
    dated = release_date("litellm", version)
    snapshot, older = litellm_table(), dspy_table()
    entries = dict(entries_of(snapshot, dated))
    entries |= {name: entry for name, entry in entries_of(older["models"], dated) if name.startswith("openrouter/")}
    return {
        "dated": dated,
        "source": f"litellm {version} (MIT); openrouter: litellm {older['version']} as carried by dspy "
        f"{importlib.metadata.version('dspy')} (MIT)",
        "unit": "USD per million tokens",
        "models": dict(sorted(entries.items())),
    }


def litellm_table() -> dict[str, Any]:
    return json.loads(
        (package("litellm") / "model_prices_and_context_window_backup.json").read_bytes(), parse_float=Decimal
    )


def dspy_table() -> dict[str, Any]:
    metadata = package("dspy") / "clients/model_metadata"
    models = json.loads(gzip.decompress((metadata / "snapshot.json.gz").read_bytes()), parse_float=Decimal)
    return {"models": models, "version": json.loads((metadata / "provenance.json").read_bytes())["version"]}


def package(name: str) -> Path:
    """Where a package is installed, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed")
    return Path(spec.origin).parent


def release_date(name: str, version: str) -> str:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    for locked in lock["package"]:
        if locked["name"] == name and locked["version"] == version:
            return str(locked["sdist"]["upload-time"])[:10]
    sys.exit(f"uv.lock does not know {name} {version}: run `uv sync` first")


def entries_of(models: dict[str, Any], dated: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, raw in models.items():
        provider = raw.get("litellm_provider")
        if provider not in PREFIX or raw.get("mode") not in {"chat", "responses"}:
            continue
        prefix = PREFIX[provider]
        name = key if key.startswith(prefix + "/") else f"{prefix}/{key}"
        if OTHER_BILLING.search(key) or OLD.search(name) or str(raw.get("deprecation_date") or "9999") <= dated:
            continue
        if provider == "fireworks_ai" and "source" not in raw:
            continue  # deployed on demand and billed by the hour: the price here only goes by size
        if provider == "deepseek" and "/" not in key and f"deepseek/{key}" in models:
            continue
        entry = entry_of(raw)
        if entry is not None:
            yield name, entry


def entry_of(raw: dict[str, Any]) -> dict[str, Any] | None:
    """Prices per million tokens; None when one of the main prices is missing or zero, or there are several steps.

    A free tier is not a price to plan with, and a price of more steps than can be written here would be a guess.
    """
    steps = {int(m[1]) for key in raw if (m := re.fullmatch(r"(?:in|out)put_cost_per_token_above_(\d+)k_tokens", key))}
    if not raw.get("input_cost_per_token") or not raw.get("output_cost_per_token") or len(steps) > 1:
        return None

    def million(key: str) -> int | float | str | None:
        value = raw.get(key)
        return None if value is None else exact(Decimal(value) * 1_000_000)

    entry: dict[str, Any] = {
        "input": million("input_cost_per_token"),
        "output": million("output_cost_per_token"),
        "cached_input": million("cache_read_input_token_cost"),
        "cache_write": million("cache_creation_input_token_cost"),
        "reasoning": million("output_cost_per_reasoning_token"),
        "max_input": raw.get("max_input_tokens"),
        "max_output": raw.get("max_output_tokens"),
    }
    if "cache_creation_input_token_cost_above_1hr" in raw:
        entry["cache_write_1h"] = million("cache_creation_input_token_cost_above_1hr")
    if steps:
        (step,) = steps
        dearer = {name: million(f"{key}_above_{step}k_tokens") for name, key in LONG.items()}
        entry["long"] = {"above": step * 1000} | {name: price for name, price in dearer.items() if price is not None}
    return entry


LONG = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
"""Prices of a request whose input is longer than `above` tokens; they hold for the whole request."""


def exact(value: Decimal) -> int | float | str:
    """The number, written so that `Decimal(str(...))` of what JSON reads back is the price to the last digit."""
    whole = value.to_integral_value()
    if value == whole:
        return int(whole)
    return float(value) if Decimal(repr(float(value))) == value else format(value.normalize(), "f")


def render(prices: dict[str, Any]) -> str:
    """One model a line, so that a new table reads well as a diff."""
    head = {key: value for key, value in prices.items() if key != "models"}
    lines = [f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in prices["models"].items()]
    start = json.dumps(head, indent=2).removesuffix("\n}")
    return start + ',\n  "models": {\n' + ",\n".join(lines) + "\n  }\n}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
