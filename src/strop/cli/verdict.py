"""What a run found out, in words: the verdict block, what it cost, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strop.cli.console import flowing, show, table

Data = Mapping[str, Any]


def verdict_block(data: Data, columns: int) -> str:
    """The sealed test, the verdict and the cost. Says so plainly where the test was never opened."""
    test = data["test"]
    blocks = [_no_test(data, columns)] if test is None else [_head(test), _measured(test, columns)]
    blocks.append(flowing([*_verdict(data), *_dev(data), *_power(test)], columns))
    blocks.append(flowing([_cost(data)], columns))
    return "\n".join(block for block in blocks if block)


def print_result(data: Data, columns: int, *, next_steps: Sequence[str]) -> None:
    """Everything that a run ends with, on stdout."""
    show(verdict_block(data, columns))
    version = _version(data)
    if version:
        show(flowing([version], columns))
    show()
    print_ledger(data["ledger"], data["cost"])
    show()
    if data.get("report"):
        show(f"Report: {data['report']}")
    for step in next_steps:
        show(step)


def print_ledger(rows: Sequence[Data], cost: Data) -> None:
    """Calls and money by model, role and phase, with their sum."""
    counts = ("calls", "paid_calls", "replayed_calls", "failed_calls", "lost_calls", "tokens_in", "tokens_out")
    total = {"model": "total", "usd": cost["usd"], **{key: sum(row[key] for row in rows) for key in counts}}
    ledger_table(
        {
            "Model": "model", "Role": "role", "Phase": "phase", "Paid": "paid_calls",
            "Replayed": "replayed_calls", "Failed": "failed_calls", "Lost": "lost_calls", "Tokens in": "tokens_in",
            "out": "tokens_out",
        },
        [*rows, total],
    )  # fmt: skip
    if cost["uncertain_usd"]:
        show(f"and up to {dollars(cost['uncertain_usd'])} for calls that may be billed though no answer came")


def ledger_table(columns: Mapping[str, str], rows: Sequence[Data]) -> None:
    """Rows of a ledger, USD to the millionth so that a column adds up; columns of nothing but zeros are left out."""
    shown = {title: key for title, key in columns.items() if any(row.get(key) for row in rows)}
    words = ("Scope", "Model", "Role", "Phase")
    cells = [[*(_cell(row.get(key)) for key in shown.values()), f"{row['usd']:,.6f}"] for row in rows]
    titles = [*shown, "USD"]
    table(titles, cells, right=[title for title in titles if title not in words])


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value or "")


def dollars(usd: float | None) -> str:
    """An amount for people: `$4.12`, `$0.0021`."""
    from strop.gateway import show as shown

    return "" if usd is None else shown(float(usd))


def _head(test: Data) -> str:
    opened = "opened once" if test["look"] == 1 else f"opened {test['look']} times"
    return (
        f"Held-out test (n={test['n']}, {opened}, never seen by the optimiser; look {test['look']} of {test['look']})"
    )


def _measured(test: Data, columns: int) -> str:
    low, high = test["ci95"]
    method, _, tail = test["method"].partition(", ")
    return flowing(
        [
            f"baseline {test['baseline']:.1%}",
            f"optimised {test['optimized']:.1%}",
            f"change {points(test['change'])} points, 95% CI [{points(low)}, {points(high)}]",
            f"fixed {test['fixed']}, broke {test['broke']}",
            f"{method} p = {_p(test['p_value'])}" + (f" ({tail})" if tail else ""),
        ],
        columns,
    )


def _verdict(data: Data) -> list[str]:
    if data["verdict"] is None:
        return []
    reason = data["test"]["reason"] if data["test"] else None
    return [f"Verdict: {data['verdict']}" + (f" ({reason})." if reason else ".")]


def _dev(data: Data) -> list[str]:
    dev = data["dev"]
    if dev is None or (data["test"] is None and dev["optimized"] == dev["baseline"]):
        return []
    return [f"Dev-set gain was {points(dev['optimized'] - dev['baseline'])} (biased by selection; do not quote)."]


def _power(test: Data | None) -> list[str]:
    if test is None:
        return []
    if test["detectable_gain"] is None:
        return ["This test could not reliably detect any gain (80% power)."]
    return [
        f"Smallest gain this test could reliably detect: about {100 * test['detectable_gain']:.1f} points (80% power)."
    ]


def _cost(data: Data) -> str:
    cost, each = data["cost"], data["per_request"]
    practice = ", practice prices, never billed" if cost["practice_prices"] else ""
    limit = "" if cost["budget_usd"] is None else f" of {dollars(cost['budget_usd'])}"
    told = f"Cost: optimisation {dollars(cost['usd'])}{limit} ({cost['paid_calls']:,} calls{practice})"
    before, after = each["usd_before"], each["usd_after"]
    if before is None or after is None or (data["test"] is None and before == after):
        return told + "."
    change = f" ({100 * (after / before - 1):+.0f}%)" if before else ""
    return f"{told}; per request {dollars(before)} -> {dollars(after)}{change}."


def _no_test(data: Data, columns: int) -> str:
    why = {
        "failed": "the run failed",
        "infeasible": "no program satisfies the constraints",
        "timeout": "the time was over",
        "budget_exceeded": "the budget was spent",
        "cancelled": "the run was cancelled",
    }.get(data["status"], "there are no test examples")
    told = [f"The sealed test was not opened: {why}."]
    if data["error"]:
        told.append(data["error"])
    if _dev(data):
        told.append("What follows was measured on dev examples alone, and proves nothing.")
    elif data["verdict"]:
        told.append("No better program was measured, and nothing is claimed.")
    return flowing(told, columns, indent="", gap=" ")


def _version(data: Data) -> str:
    number, active = data["version"], data["active_version"]
    if number is None:
        return ""
    if number == active:
        return f"Version {number} of {data['task']} is active."
    against = data.get("incumbent")  # results of earlier releases lack it
    why = "" if against is None else f": it was not shown better than that one ({_against(against)})"
    return f"Version {number} of {data['task']} is kept; version {active} stays active{why}."


def _against(incumbent: Data) -> str:
    low, high = incumbent["ci95"]
    change = f"{points(incumbent['change'])} points [{points(low)}, {points(high)}]"
    return f"{change}, p = {_p(incumbent['p_value'])}, look {incumbent['look']}"


def points(share: float) -> str:
    """A share as signed points, `+7.5`."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.1e}"
