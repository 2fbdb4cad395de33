"""Money as whole picodollars (1 USD = 10**12), so that sums are exact."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

PICO = 10**12


def pico(usd: float | int | str | Decimal) -> int:
    """Whole picodollars of an amount in USD, rounded up: a limit or price is never understated by rounding."""
    return int((Decimal(str(usd)) * PICO).to_integral_value(rounding=ROUND_CEILING))


def usd(amount: int | None) -> float:
    """An amount in USD for display and JSON; `None` (unknown) counts as 0."""
    return 0.0 if amount is None else float(Decimal(amount) / PICO)


def show(amount: int | float | None) -> str:
    """`$4.12`, `$0.0021`, `$0.000004`: two significant digits at least, picodollars if int, USD if float."""
    if amount is None:
        return "unknown"
    value = usd(amount) if isinstance(amount, int) else amount
    if value == 0:
        return "$0.00"
    digits = 2
    while digits < 8 and abs(value) < 10 ** (1 - digits):
        digits += 1
    return f"${value:,.{digits}f}"
