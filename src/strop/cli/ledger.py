"""`strop ledger`: every call that was made, and what it cost, to the picodollar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from strop.cli.options import Database, Directory, Json, noun

if TYPE_CHECKING:
    from strop.app import House
    from strop.gateway import Line

app = noun("What every call cost, by model, role and phase.")


@app.command()
def ledger(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run's id, `last`, or a scope such as "
                                              "predict:NAME. Default: everything.")] = None,
    calls: Annotated[bool, typer.Option("--calls", help="The single calls, one JSON object a line.")] = False,
    directory: Directory = Path(),
    database: Database = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What the calls cost, by model, role and phase, with a total that is their exact sum."""
    from strop.cli.console import emit
    from strop.cli.house import house_at

    with house_at(directory, database) as house:
        scope = _scope(house, run)
        if calls:
            _print_calls(house, scope)
            return
        data = ledger_data(house.gateway.ledger.lines(scope))
    emit(data | {"scope": scope}) if as_json else _print(data, scope)


def ledger_data(lines: Sequence[Line]) -> dict[str, Any]:
    """Rows and their totals. `*_pico` are whole picodollars (10**12 = 1 USD) and add up exactly."""
    rows = [_row(line) for line in lines]
    summed = ("calls", "paid", "replayed", "shared", "ok", "failed", "lost", "tokens_in", "tokens_out")
    totals: dict[str, Any] = {key: sum(row[key] for row in rows) for key in summed}
    return {
        "rows": rows,
        "totals": totals | _money([line.cost_pico for line in lines], [line.uncertain_pico for line in lines]),
    }


def _row(line: Line) -> dict[str, Any]:
    repeated = line.replayed + line.shared
    return {
        "scope": line.scope, "model": line.model, "role": line.role, "phase": line.phase, "calls": line.calls,
        "paid": line.bought, "replayed": line.replayed, "shared": line.shared,
        "ok": max(0, line.bought + repeated - line.failed - line.lost), "failed": line.failed, "lost": line.lost,
        "tokens_in": line.tokens_in, "tokens_out": line.tokens_out, "practice_prices": line.practice,
        **_money([line.cost_pico], [line.uncertain_pico]),
    }  # fmt: skip


def _money(cost: Sequence[int], uncertain: Sequence[int]) -> dict[str, Any]:
    from strop.gateway import usd

    return {
        "cost_pico": sum(cost),
        "usd": usd(sum(cost)),
        "uncertain_pico": sum(uncertain),
        "uncertain_usd": usd(sum(uncertain)),
    }


def _scope(house: House, run: str | None) -> str | None:
    if run is None or ":" in run:
        return run
    return f"run:{house.journal.get(run).id}"


def _print_calls(house: House, scope: str | None) -> None:
    import json
    import sys

    scopes = [scope] if scope else sorted({line.scope for line in house.gateway.ledger.lines()})
    for one in scopes:
        for row in house.gateway.ledger.every_row(one):
            sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _print(data: dict[str, Any], scope: str | None) -> None:
    from strop.cli.console import show
    from strop.cli.verdict import dollars, ledger_table

    totals: dict[str, Any] = data["totals"]
    rows = data["rows"] if scope is not None else _by_scope(data["rows"])
    words = ("Model", "Role", "Phase") if scope is not None else ("Scope", "Model")
    columns = {word: word.lower() for word in words} | {
        "Calls": "calls", "Paid": "paid", "Replayed": "replayed", "Failed": "failed", "Lost": "lost",
        "Tokens in": "tokens_in", "out": "tokens_out",
    }  # fmt: skip
    ledger_table(columns, [*rows, {**totals, words[0].lower(): "total"}])
    if totals["uncertain_pico"]:
        show(f"and up to {dollars(totals['uncertain_usd'])} for calls that may be billed though no answer came")
    if any(row["practice_prices"] for row in data["rows"]):
        show("embedded/* models have practice prices, which are never billed.")


def _by_scope(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Roles and phases summed up, for the view of everything."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault((row["scope"], row["model"]), {"scope": row["scope"], "model": row["model"]})
        for key, value in row.items():
            if isinstance(value, int | float):
                one[key] = one.get(key, 0) + value
    return list(found.values())
