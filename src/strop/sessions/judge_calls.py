"""The judge's place in a session: its scope, its budget, its calls. No model is charged for being judged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from strop.errors import CallFailed, RunStopped, SettingsError, StopCause
from strop.gateway import Account, Gateway, ModelSettings, Switch, lanes, tap
from strop.programs import running_on
from strop.sessions.config import KEYS, ModelConfig, TrainingPhase
from strop.sessions.judging import Messages, typical_use
from strop.sessions.models import lanes_of, language_model, settings_of
from strop.sessions.slots import Traffic
from strop.store import Lease

if TYPE_CHECKING:
    import dspy

WHO = ""
"""How the session's slots know the judge: no model can be called so."""
SEARCHES = {TrainingPhase.OPTIMIZATION, TrainingPhase.CROSS_LEARNING}
FRAME_BYTES = 1500
GROWTH = 1.25
"""The longest question to come may be so many times the longest so far."""


@dataclass(kw_only=True)
class SessionJudge:
    """The judge's accounts in one attempt at a session, one a phase, as a contestant has them.

    `dry` is told that its money is gone for this phase, `down` that it cannot be used at all; both in words.
    """

    gateway: Gateway
    config: ModelConfig
    settings: ModelSettings
    rules: tuple[str, ...]
    root: str
    lease: Lease
    traffic: Traffic
    dry: Callable[[str], None]
    down: Callable[[str], None]
    stopped: tuple[StopCause, str] | None = None
    accounts: list[Account] = field(default_factory=list[Account])
    questions: int = 0
    _priced: int = 0
    _longest: int = 0
    _models: dict[int, dspy.LM] = field(default_factory=dict["int", "dspy.LM"])
    _phase: TrainingPhase = TrainingPhase.BASELINE
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def scope(self) -> str:
        """Under which its calls are in the ledger."""
        return f"{self.root}:judge"

    def budget(self, *, search: bool) -> str:
        """The budget that pays for it: of the search, or of the session."""
        return f"{self.root}/search/judge" if search else f"{self.root}/judge"

    def enter(self, phase: TrainingPhase) -> None:
        """An account with a switch of its own: money that ends the search must not end the benchmark."""
        counters: Mapping[str, Any] = {"counters": self.accounts[0].counters} if self.accounts else {}
        account = Account(
            scope=self.scope, budget=self.budget(search=phase in SEARCHES), lease=self.lease, switch=Switch(),
            **counters,
        )  # fmt: skip
        with self._lock:
            self.accounts.append(account)
            self._phase = phase
            if self.stopped is not None:
                account.switch.trip(*self.stopped)

    def stop(self, cause: StopCause, detail: str) -> None:
        """Answer nothing any more; the first cause counts."""
        with self._lock:
            self.stopped = self.stopped or (cause, detail)
            for account in self.accounts:
                account.switch.trip(*self.stopped)

    def check(self) -> None:
        """Raise RunStopped when it answers nothing any more."""
        self.accounts[-1].switch.check()

    def spent_pico(self) -> int:
        """What it has cost in this attempt."""
        return self.accounts[0].counters.read().cost_pico if self.accounts else 0

    def output_pico(self, output_tokens: int) -> float:
        """What judging one output by all rules costs: the mean of its answers so far, else what is typical."""
        with self._lock:
            if self.questions:
                return len(self.rules) * self._priced / self.questions
        return self.gateway.prices.price(self.settings.model).cost(typical_use(self.rules, output_tokens))

    def largest_call(self, output_tokens: int) -> int:
        """The worst case of one question: as far as known from those before, else about an output of so many tokens."""
        text = FRAME_BYTES + 4 * (max(map(len, self.rules)) + output_tokens)
        if self._longest:
            text = FRAME_BYTES // 4 + int(GROWTH * self._longest)
        return self.gateway.prices.price(self.settings.model).worst_case(
            text_bytes=text, messages=2, output_limit=self.settings.output_limit
        )

    def ask(self, messages: Messages, sample: int | None) -> str:
        """The model's words.

        The call is made in a context of its own: neither the asking model's limits nor whoever adds up its costs see
        it.

        Raises:
            CallFailed: there was no answer.
            RunStopped: the session was stopped, the money is gone, or the judge cannot be used.
        """
        try:
            return Context().run(self._called, messages, sample)
        except RunStopped as stop:
            if stop.cause == "provider_down":
                raise self.failed(stop.detail) from None
            if stop.cause == "budget_exceeded":
                self.dry(stop.detail)
            raise

    def failed(self, detail: str) -> RunStopped:
        """Nobody can be judged any more, so the session ends; never does that count as a "no"."""
        why = f"the judge {self.settings.model!r} cannot be used: {detail}"
        self.down(why)
        return RunStopped("cancelled", why)

    def _called(self, messages: Messages, sample: int | None) -> str:
        account, lm = self._model()
        account.switch.check()
        given = {} if sample is None else {"rollout_id": sample}
        with running_on(lm), lanes(lanes_of(self.traffic, WHO, self.settings)), tap() as calls:
            try:
                (answer,) = lm(messages=messages, **given)
            except Exception as error:
                raise (_failure(error) or self._broken(error)) from error
            finally:
                with self._lock:
                    self.questions += bool(calls)
                    self._longest = max(self._longest, sum(len(one["content"].encode()) for one in messages))
                    self._priced += sum(one.call.cost_pico or 0 for one in calls)
        return answer if isinstance(answer, str) else str(cast("dict[str, object]", answer).get("text") or "")

    def _model(self) -> tuple[Account, dspy.LM]:
        with self._lock:
            number, phase = len(self.accounts), self._phase
            account, known = self.accounts[-1], self._models.get(number)
        if known is None:
            try:
                known = language_model(
                    self.gateway, account, self.config, self.settings, who=WHO, traffic=self.traffic, phase=phase,
                    role="judge",
                )  # fmt: skip
            except Exception as error:
                raise self._broken(error) from error
            with self._lock:
                known = self._models.setdefault(number, known)
        return account, known

    def _broken(self, error: Exception) -> CallFailed:
        words = self.gateway.redact(f"{type(error).__name__}: {error}")[:500]
        return CallFailed(self.settings.model, "bad_request", words)


def judge_settings(config: ModelConfig, timeout_ms: float) -> ModelSettings:
    """The gateway's settings of a judge. Reasoning models that take neither a temperature nor a small limit of tokens
    get none, unless they were given."""
    settings = settings_of(config, timeout_ms)
    if not settings.reasoning_family:
        return settings
    calm = {"temperature": None} if config.temperature == 0 else {}
    short = {} if "max_tokens" in config.model_fields_set else {"max_tokens": None}
    return settings.model_copy(update={**calm, **short})


def need_key(config: ModelConfig) -> None:
    """Raises SettingsError when the key of a provider that surely needs one is nowhere to be found."""
    if config.api_key is not None or config.api_base is not None:
        return
    prefix = config.full_name.split("/", 1)[0].upper()
    if os.environ.get(f"{prefix}_API_BASE") or os.environ.get(f"{prefix}_BASE_URL"):
        return
    name = config.api_key_env or KEYS.get(config.provider)
    others = ["GOOGLE_API_KEY"] if name == "GEMINI_API_KEY" else []
    if name is not None and not any(os.environ.get(each) for each in (name, *others)):
        raise SettingsError(
            f"the judge {config.full_name} needs {name}", hint="put it into the environment or .env, or take another"
        )


def _failure(error: BaseException | None) -> CallFailed | None:
    """The failed call behind DSPy's error."""
    while error is not None:
        if isinstance(error, CallFailed):
            return error
        error = error.__cause__ or error.__context__
    return None
