"""The one door to every model: looked up, priced, budgeted, paced, recorded, replayable."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from strop.errors import BudgetExceeded, CallFailed, Fenced, ReplayMiss, RunStopped, StoreError
from strop.gateway.account import Account, seen_by_tap
from strop.gateway.budget import Budgets
from strop.gateway.call import (
    Failure,
    Recorded,
    Reply,
    Role,
    Source,
    call_key,
    new_id,
    now_us,
    process_name,
)
from strop.gateway.flights import Flights
from strop.gateway.lanes import may_call, may_declare
from strop.gateway.ledger import Ledger
from strop.gateway.pace import Pace
from strop.gateway.prices import Price, PriceTable, TokenUse, byte_bound
from strop.gateway.provider import Provider
from strop.gateway.question import Question
from strop.gateway.redact import Redactor, storable
from strop.gateway.settings import ModelSettings
from strop.gateway.writer import Intent, Outcome, Repeat, Withdrawal
from strop.store import Store

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response

    from strop.gateway.lm import GatewayLM

REPEAT = -1
BACKOFF_S, BACKOFF_CAP_S = 0.5, 30.0
GIVE_BACK_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One model as one account uses it in one phase and role."""

    settings: ModelSettings
    provider: Provider
    price: Price
    price_text: str
    pace: Pace
    account: Account
    phase: str
    role: Role


@dataclass(kw_only=True, slots=True)
class Asked:
    """One call about to be made."""

    question: Question
    key: str
    rollout: int | None
    index: int
    queued_us: int


Made = tuple["Recorded | None", "Recorded | None", "Response | None"]
"""What was recorded already, or else the call made and its response."""


class Gateway:
    """Owns the ledger and the way to every model. One a process and database is enough; all methods are thread-safe."""

    def __init__(
        self, store: Store, *, prices: PriceTable | None = None, redact: Redactor | None = None, replay: bool = False
    ) -> None:
        self.ledger = Ledger(store)
        self.budgets = Budgets(store)
        self.prices = prices or PriceTable()
        self.redact = redact or Redactor()
        self.replaying = replay
        self._flights = Flights()
        self._lock = threading.Lock()
        self._providers: dict[ModelSettings, Provider] = {}
        self._paces: dict[ModelSettings, Pace] = {}
        self._own: dict[str, Provider] = {}
        self._process = process_name()
        self._finds = True

    def offer(self, model: str, provider: Provider) -> None:
        """Answer `model` with a provider of the caller's own (a simulation, a local server, a test)."""
        self._own[model] = provider

    def lm(
        self, model: str | dict[str, Any] | ModelSettings, account: Account, *, phase: str, role: Role = "task"
    ) -> GatewayLM:
        """A DSPy language model whose every call passes this gateway.

        Raises:
            PriceUnknown: nobody said what the model costs.
        """
        from strop.gateway.lm import GatewayLM

        settings = ModelSettings.of(model)
        price = self.prices.price(settings.model)
        channel = Channel(
            settings=settings,
            price=price,
            price_text=price.snapshot(),
            provider=self._provider(settings),
            pace=self._pace(settings),
            account=account,
            phase=phase,
            role=role,
        )
        return GatewayLM(self, channel)

    def close(self) -> None:
        """Commit what is left."""
        self.ledger.close()

    def complete(self, channel: Channel, request: Request, *, rollout: int | None, index: int) -> Response:
        """Answer any request; raises as `answer` does."""
        return self.answer(channel, Question.of(request), rollout=rollout, index=index).response

    def answer(self, channel: Channel, question: Question, *, rollout: int | None, index: int) -> Reply:
        """Answer one question from the ledger, from a call in flight, or by making the call.

        Raises:
            RunStopped: the account was stopped, by this call or before.
            CallFailed: no answer; recorded as such.
        """
        account = channel.account
        account.switch.check()
        key = call_key(question.body, channel.provider.endpoint, rollout, index)
        asked = Asked(question=question, key=key, rollout=rollout, index=index, queued_us=now_us())
        # A call found in the ledger is likely followed by another one, and a new one by a new one. What is probably
        # new is looked for in the transaction that declares it: one way to the database instead of two.
        look_now = self._finds or self.replaying or channel.pace.limits
        known = (self.ledger.recorded if look_now else self.ledger.recent)(key, account.scope)
        if look_now:
            self._finds = known is not None
        if known is not None:
            return self._repeat(channel, asked, known, "replayed")
        if self.replaying:
            missing = ReplayMiss(
                f"a call to {channel.settings.model!r} was never recorded", hint="run without --replay"
            )
            raise account.switch.trip("replay_miss", missing.message, error=missing)
        flight, mine = self._flights.join(key)
        while not mine:
            try:
                return self._repeat(channel, asked, flight.wait(account.switch.check), "shared")
            except RunStopped:
                # Perhaps it was the other caller's run that was stopped, and not this one.
                account.switch.check()
                flight, mine = self._flights.join(key)
        # Between the look-up and the join another caller may have landed the same call.
        known = self.ledger.recent(key, account.scope)
        call: Recorded | None = None
        response: Response | None = None
        try:
            if known is None:
                known, call, response = self._make(channel, asked, look=not look_now)
        except BaseException as problem:
            self._flights.leave(key)
            # What interrupts this caller (Ctrl-C) is not for the others: one of them makes the call.
            mine_alone = not isinstance(problem, Exception | RunStopped)
            flight.land(None, RunStopped("cancelled", "interrupted") if mine_alone else problem)
            raise
        self._flights.leave(key)
        flight.land(known or call)
        if known is not None:
            return self._repeat(channel, asked, known, "replayed")
        assert call is not None
        seen_by_tap(call, "embedded" if channel.settings.embedded else "paid")
        return self._answer(channel, call, response)

    def _provider(self, settings: ModelSettings) -> Provider:
        with self._lock:
            if settings.model in self._own:
                return self._own[settings.model]
            if settings not in self._providers:
                if settings.embedded:
                    from strop.gateway.providers_local import EmbeddedProvider

                    self._providers[settings] = EmbeddedProvider(settings)
                else:
                    from strop.gateway.providers_remote import RemoteProvider

                    self._providers[settings] = RemoteProvider(settings, self.redact)
            return self._providers[settings]

    def _pace(self, settings: ModelSettings) -> Pace:
        with self._lock:
            if settings not in self._paces:
                self._paces[settings] = Pace(settings)
            return self._paces[settings]

    def _answer(self, channel: Channel, call: Recorded, response: Response | None) -> Reply:
        """The response of a finished call, or its failure; after a stop, the stop."""
        if call.failure is not None:
            channel.account.switch.check()
            raise CallFailed(channel.settings.model, call.failure.kind, call.failure.detail)
        return Reply(response=response, stored=call.response)

    def _watch(self, channel: Channel, failure: Failure | None) -> None:
        """Count a final outcome; a failing provider stops the run here."""
        health = channel.account.health(channel.settings)
        if failure is None:
            health.answered()
        elif down := health.failed(failure):
            channel.account.switch.trip("provider_down", down.message, error=down)

    def _repeat(self, channel: Channel, asked: Asked, known: Recorded, source: Source) -> Reply:
        """Answer with what is known already, and note that it cost nothing now."""
        now = now_us()
        row = self._row(channel, asked, attempt=REPEAT, worst=0)
        row.update(
            status="ok" if known.failure is None else "failed",
            source=source,
            origin=known.id,
            price=None,
            cost_pico=0,
            started_us=now,
            finished_us=now,
        )
        self.ledger.writer.submit(Repeat(row=row, lease=channel.account.lease))
        channel.account.counters.add("replayed" if source == "replayed" else "shared")
        seen_by_tap(known, source)
        return self._answer(channel, known, None)

    def _make(self, channel: Channel, asked: Asked, *, look: bool) -> Made:
        """Make the call, again after transient failures; the last attempt is the record."""
        switch = channel.account.switch
        attempt = 0
        while True:
            known, call, response, error = self._attempt(channel, asked, attempt, look=look and not attempt)
            if error is None or not error.transient or attempt == channel.settings.retries:
                break
            attempt += 1
            delay = error.retry_after
            if delay is None:
                delay = random.uniform(0.5, 1.0) * min(BACKOFF_CAP_S, BACKOFF_S * 2 ** (attempt - 1))
            elif error.kind == "rate_limit":
                channel.pace.pause(delay)
            switch.tripped.wait(delay)
            switch.check()
        lease = channel.account.lease
        if call is not None and (lease is None or not lease.lost.is_set()):
            # What came after the run was given up will not be in the ledger, so it is no answer for others.
            self.ledger.remember(asked.key, channel.account.scope, call)
        return known, call, response

    def _attempt(
        self, channel: Channel, asked: Asked, attempt: int, *, look: bool
    ) -> tuple[Recorded | None, Recorded | None, Response | None, CallFailed | None]:
        worst = self._worst_case(channel, asked)
        output_limit = asked.question.max_tokens or channel.settings.output_limit
        switch = channel.account.switch
        row = self._row(channel, asked, attempt=attempt, worst=worst)
        with may_declare(switch), channel.pace.turn(len(asked.question.body) // 4 + output_limit, switch):
            known = self._declare(channel, row, worst, look=look)
            if known is not None:
                self._finds = True
                return known, None, None, None
            with self._lane(channel, row):
                started, clock = now_us(), time.perf_counter_ns()
                response, error = self._ask(channel, asked)
                took = (time.perf_counter_ns() - clock) // 1000
                final = error is None or not error.transient or attempt == channel.settings.retries
                if final:
                    # While the lane is held: after the last straw nobody else calls.
                    self._watch(channel, None if error is None else _failure(error))
        call = self._settle(channel, row, response, error, started=started, took=took, final=final)
        return None, call, response, error

    @contextmanager
    def _lane(self, channel: Channel, row: dict[str, Any]) -> Generator[None]:
        """Hold a lane for a declared call. One that is stopped while it waits is taken back; one that is unwound while
        it is made (Ctrl-C) may have been billed."""
        account, sent = channel.account, False
        try:
            with may_call(account.switch):
                account.switch.check()
                account.counters.add("bought")
                sent = True
                yield
        except BaseException as end:
            if sent:
                error = CallFailed(channel.settings.model, "connection", f"given up: {type(end).__name__}")
                self._settle(channel, row, None, error, started=now_us(), took=0, final=False)
            else:
                self._withdraw(account, row)
            raise

    def _withdraw(self, account: Account, row: dict[str, Any]) -> None:
        worst = int(row["worst_pico"])
        self.ledger.writer.submit(Withdrawal(id=row["id"], budget=account.budget, held=worst, lease=account.lease))

    def _ask(self, channel: Channel, asked: Asked) -> tuple[Response | None, CallFailed | None]:
        channel.account.counters.add("in_flight")
        try:
            return channel.provider.complete(asked.question.request, rollout=asked.rollout, index=asked.index), None
        except CallFailed as failure:
            return None, failure
        except Exception as bug:  # noqa: BLE001 - a provider that breaks is a failed call, with its own words
            return None, self._garbage(channel, bug)
        finally:
            channel.account.counters.add("in_flight", -1)

    def _declare(self, channel: Channel, row: dict[str, Any], worst: int, *, look: bool) -> Recorded | None:
        """Commit the intent with its reservation, or end the run; the answer, if it turns out to be recorded."""
        account = channel.account
        intent = Intent(
            row=row, budget=account.budget, worst=worst, switch=account.switch, lease=account.lease, look=look
        )
        try:
            self.ledger.writer.submit(intent)
            intent.gate.wait()
        except BudgetExceeded as error:
            raise account.switch.trip("budget_exceeded", error.message, error=error) from None
        except Fenced as error:
            raise account.switch.trip("fenced", error.message, error=error) from None
        except StoreError as error:
            raise account.switch.trip("store_failed", error.message, error=error) from None
        except BaseException:
            # Ctrl-C while it waits: what is or was granted all the same is given back.
            intent.left = True
            if intent.gate.lets_pass(GIVE_BACK_S) and intent.known is None:
                self._withdraw(account, row)
            raise
        return intent.known

    def _settle(
        self,
        channel: Channel,
        row: dict[str, Any],
        response: Response | None,
        error: CallFailed | None,
        *,
        started: int,
        took: int,
        final: bool,
    ) -> Recorded:
        """Hand the outcome to the writer. What may be charged without an answer stays spent at its worst case."""
        worst = int(row["worst_pico"])
        use: TokenUse | None = None
        cost: int | None = 0
        text: str | None = None
        failure: Failure | None = None
        if response is not None:
            from dspy._vendor.lm15.serde import response_to_dict

            try:
                text = self.redact(orjson.dumps(response_to_dict(response)).decode())
                use = _use(response)
                cost = channel.price.cost(use)
            except Exception as bug:  # noqa: BLE001 - an answer that cannot be recorded is none, and may be billed
                error, text, use = self._garbage(channel, bug), None, None
        if error is not None:
            failure = _failure(error)
            cost = None if error.may_be_billed else 0
            channel.account.counters.add("failed")
        spent = worst if cost is None else cost
        channel.account.counters.add("cost_pico", spent)
        values: dict[str, Any] = {
            "id": row["id"],
            "status": "ok" if failure is None else "failed",
            "final": final,
            "response": text,
            "error_kind": failure.kind if failure else None,
            "error": failure.detail if failure else None,
            "tokens_in": use.input if use else None,
            "tokens_out": use.output if use else None,
            "tokens_cached": use.cached if use else None,
            "tokens_reasoning": use.reasoning if use else None,
            "cost_pico": cost,
            "started_us": started,
            "finished_us": started + took,
        }
        account = channel.account
        self.ledger.writer.submit(
            Outcome(row={**row, **values}, budget=account.budget, held=worst, spent=spent, lease=account.lease)
        )
        return Recorded(id=row["id"], response=text, failure=failure, use=use, cost_pico=cost, latency_us=took)

    def _garbage(self, channel: Channel, bug: Exception) -> CallFailed:
        words = self.redact(f"{type(bug).__name__}: {bug}")[:500]
        return CallFailed(channel.settings.model, "garbage", words)

    def _worst_case(self, channel: Channel, asked: Asked) -> int:
        question = asked.question
        return channel.price.worst_case(
            text_bytes=byte_bound(question.body) + question.unseen,
            messages=question.messages,
            output_limit=question.max_tokens or channel.settings.output_limit,
        )

    def _row(self, channel: Channel, asked: Asked, *, attempt: int, worst: int) -> dict[str, Any]:
        """A row of the table, its columns in their order: that is the cheapest to write."""
        account = channel.account
        return {
            "id": new_id(),
            "key": asked.key,
            "scope": account.scope,
            "phase": channel.phase,
            "role": channel.role,
            "model": channel.settings.model,
            "status": "open",
            "source": "embedded" if channel.settings.embedded else "paid",
            "origin": None,
            "attempt": attempt,
            "final": False,
            "request": None if attempt == REPEAT else asked.question.stored(self.redact),
            "response": None,
            "error_kind": None,
            "error": None,
            "tokens_in": None,
            "tokens_out": None,
            "tokens_cached": None,
            "tokens_reasoning": None,
            "price": channel.price_text,
            "worst_pico": worst,
            "cost_pico": None,
            "budget": account.budget,
            "owner": self._process,
            "queued_us": asked.queued_us,
            "started_us": None,
            "finished_us": None,
        }


def _failure(error: CallFailed) -> Failure:
    return Failure(kind=error.kind, detail=storable(error.detail))


def _use(response: Response) -> TokenUse:
    """The counts of a provider, which has cached tokens within the input and reasoning within the output."""
    usage = response.usage
    return TokenUse(
        input=usage.input_tokens or 0,
        output=usage.output_tokens or 0,
        cached=usage.cache_read_tokens or 0,
        cache_write=usage.cache_write_tokens or 0,
        reasoning=usage.reasoning_tokens or 0,
    )
