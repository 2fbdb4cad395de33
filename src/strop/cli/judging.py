"""A judge on the command line: what asking it would cost, the asking within a budget, what it said."""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from strop.cli.checkup import KEYS
from strop.cli.console import emit, show, tell
from strop.errors import SettingsError

if TYPE_CHECKING:
    from strop.agents import Asked, Asking, ConfigFile, Judged, PrepareSettings
    from strop.app import House
    from strop.gateway import ModelSettings, Spending

OTHER_KEYS = {
    "gemini": ("GOOGLE_API_KEY",), "together_ai": ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHER_AI_TOKEN"),
}  # fmt: skip
PRACTICE = "a small offline model: its verdicts are practice and say nothing about real work"


class Bench:
    """The judge of one command. Calling it asks; `told` is then what came of it, as JSON."""

    def __init__(
        self, file: ConfigFile, house: House, judge: str, budget_usd: float, *, quiet: bool, as_json: bool
    ) -> None:
        from strop.agents import judge_model

        self.file, self.house, self.quiet = file, house, quiet
        self._say = tell if as_json else show
        self.model = judge_model(file, judge)
        self.budget_usd = budget_usd
        self.told: dict[str, Any] = {}

    def __call__(self, settings: PrepareSettings) -> None:
        """Ask about what nothing else says; a used-up budget leaves the rest unknown.

        Raises:
            SettingsError: the model's key is missing.
            BudgetExceeded, RunFailed: see `agents.ask`.
        """
        from strop.agents import ask
        from strop.gateway import Account, pico

        asking = self.asking(settings)
        expected = self.expect(asking)
        if not self.quiet:
            tell(self.expectation(expected))
        if not expected.examples:
            return
        need_key(self.model)
        name = f"judge:{self.file.config.name}"[:100]
        # A label and a budget of this command's own: a call that failed in an earlier one is tried again.
        account = Account(scope=f"{name}/{secrets.token_hex(4)}", budget=f"{name}/{secrets.token_hex(4)}")
        self.house.gateway.budgets.open(account.budget or name, limit_pico=pico(self.budget_usd))
        try:
            judged = ask(asking, self.house.gateway, account, concurrency=self.file.config.optimization.concurrency)
        except KeyboardInterrupt:
            tell("interrupted; what was answered is kept, and the same command goes on")
            raise
        self._report(judged, account.counters.read())

    def asking(self, settings: PrepareSettings) -> Asking:
        """What the judge is to be asked, without what the user has listed as private."""
        from strop.agents import AgentArchive, Asking, Redaction, list_file, remembered

        return Asking(
            archive=AgentArchive(self.house.store), settings=settings, model=self.model,
            redaction=Redaction(remembered(list_file())),
        )  # fmt: skip

    def expect(self, asking: Asking) -> Asked:
        """What asking would take; it is noted in `told`."""
        from strop.agents import estimate, in_words_of
        from strop.gateway import usd

        with in_words_of(self.file):
            found = estimate(asking, self.house.gateway)
        self.told = {
            "model": self.model.model, "practice": self.model.embedded, "budget_usd": self.budget_usd,
            "open": found.examples, "flagged": found.flagged, "expected_usd": usd(found.expected_pico),
            "worst_usd": usd(found.worst_pico),
        }  # fmt: skip
        return found

    def expectation(self, found: Asked) -> str:
        """What asking would take, as a person reads it."""
        from strop.gateway import show as money

        cost = f"{money(found.expected_pico)} or so, at worst {money(found.worst_pico)}"
        limit = f"the budget of {money(self.budget_usd)} is never exceeded"
        flagged = (
            f"; not about {_counted(found.flagged)} with text that gives orders to a model: label them by hand"
            if found.flagged
            else ""
        )
        asked = f"{_counted(found.examples)} to ask {self.model.model} about"
        return f"{asked}{f': {cost}; {limit}' if found.examples else ''}{flagged}"

    def _report(self, judged: Judged, spent: Spending) -> None:
        from strop.gateway import show as money
        from strop.gateway import usd

        self.told |= {**asdict(judged), "calls": spent.bought, "replayed": spent.replayed,
                      "cost_usd": usd(spent.cost_pico)}  # fmt: skip
        again = f", {spent.replayed} answers were there already" if spent.replayed else ""
        practice = ", practice prices, never billed" if self.model.embedded else ""
        self._say(
            f"{self.model.model} says: {judged.succeeded} succeeded, {judged.failed} failed, {judged.unclear} unclear "
            f"({spent.bought} calls{again}, {money(spent.cost_pico)}{practice})"
        )
        if judged.unanswered:
            tell(f"note: no answer about {_counted(judged.unanswered)} ({judged.why}); the same command asks again")
        if judged.left:
            tell(f"note: not asked about {_counted(judged.left)}: {judged.why}; the same command goes on")
        if self.model.embedded:
            tell(f"note: {self.model.model} is {PRACTICE}")


def _counted(examples: int) -> str:
    return "1 example" if examples == 1 else f"{examples} examples"


def show_estimate(bench: Bench, *, as_json: bool) -> None:
    """Read what is new, and say what asking would take; nothing is asked and nothing is written but the archive."""
    from strop.agents import AgentArchive, prepare_settings, read_logs

    read_logs(bench.file, AgentArchive(bench.house.store))
    found = bench.expect(bench.asking(prepare_settings(bench.file)))
    if as_json:
        emit(bench.told)
    else:
        show(bench.expectation(found))


def need_key(model: ModelSettings) -> None:
    """Refuse to begin without the key that the model needs.

    Raises:
        SettingsError: names the variable.
    """
    if model.api_key_env is not None:
        names: tuple[str, ...] = (model.api_key_env,)
    else:
        elsewhere = any(os.environ.get(f"{model.provider.upper()}{end}") for end in ("_API_BASE", "_BASE_URL"))
        usual = None if model.api_base or elsewhere else KEYS.get(model.provider)
        names = () if usual is None else (usual, *OTHER_KEYS.get(model.provider, ()))
    if names and not any(os.environ.get(name) for name in names):
        raise SettingsError(
            f"the key of {model.model} is missing: the environment variable {names[0]} is not set",
            hint="put it into .env beside config.yaml, or try it offline: --judge embedded/large",
        )
