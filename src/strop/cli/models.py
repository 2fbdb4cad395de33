"""`strop models`: what a model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from strop.cli.options import Directory, Json, noun

app = noun("Models with a known price, in USD per million tokens.")
MILLION = 1_000_000


@app.command()
def models(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Only models with this in their name.")] = "",
    directory: Directory = Path(),
    as_json: Json = False,
) -> None:
    """List models with a known price, the embedded ones first; prices.yaml beside strop.yaml adds your own."""
    from strop.cli.console import emit, show, table
    from strop.gateway import PriceTable

    prices = PriceTable.load(directory / "prices.yaml")
    found = [row for row in priced(prices) if text.lower() in row["model"].lower()]
    if as_json:
        emit({"dated": prices.dated, "models": found})
        return
    cells = [
        (row["model"], *(_shown(row[key]) for key in ("input", "cached_input", "output")), row["dated"])
        for row in found
    ]
    table(("Model", "Input", "Cached", "Output", "Price"), cells, right=("Input", "Cached", "Output"))
    show(
        f"USD per million tokens; the package's table is of {prices.dated}. Own prices: prices.yaml beside strop.yaml."
    )
    if not found:
        show("No model of that name has a price; ollama_chat/* and ollama/* run on your machine and cost nothing.")


def priced(prices: Any) -> list[dict[str, Any]]:
    """Every priced model in USD per million tokens."""
    from strop.embedded import MODELS
    from strop.gateway import usd

    rows: list[dict[str, Any]] = []
    for name in [*MODELS, *(name for name in prices.names() if name not in MODELS)]:
        price = prices.price(name)
        per = {
            key: None if value is None else round(usd(value * MILLION), 6)
            for key, value in (
                ("input", price.input), ("cached_input", price.cached_input), ("cache_write", price.cache_write),
                ("output", price.output), ("reasoning", price.reasoning),
            )
        }  # fmt: skip
        rows.append({"model": name, **per, "max_output": price.max_output, "dated": price.dated})
    return rows


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"
