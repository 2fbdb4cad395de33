"""Everything that can go wrong, one tree on one page, so that a caller can catch by meaning.

    StropError
    ├── BadInput                    exit 2   what the user gave cannot be used
    │   ├── TaskFileError                    strop.yaml: file, line, nearest right name
    │   ├── DataError                        examples: file, line, reason
    │   ├── MetricError                      a metric's settings or its return value
    │   ├── ProgramError                     signature, strategy or program cannot be built
    │   └── SettingsError                    any other setting
    ├── NotFound                    exit 2   a run, version, model or file of that name does not exist
    ├── MissingExtra                exit 2   an optional package is not installed
    ├── PriceUnknown                exit 2   a model has no price: an unknown price is never a guess
    ├── RunFailed                   exit 3   the run ended without a result
    │   ├── ProviderDown                     the model provider cannot be used
    │   └── SearchFailed                     the algorithm broke
    ├── BudgetExceeded              exit 4   nothing verified could be bought with the budget
    ├── ConstraintsUnmet            exit 4   no candidate satisfies the constraints
    ├── StoreError                  exit 5   the database or the disk
    │   ├── StoreTooNew                      written by a newer program
    │   └── StoreUnwritable                  full disk, read-only directory
    ├── LeaseHeld                   exit 6   another process owns this run
    ├── Fenced                      exit 6   this process lost its run to another one
    ├── ArtifactRefused             exit 7   tampered, foreign or executable artifact
    ├── ReplayMiss                  exit 8   replay asked for a call that was never recorded
    └── CallFailed                           one model call ended without an answer (data, not an exit)

Exit code 1 is an unexpected error (a bug), 130 is Ctrl-C. `RunStopped` is no error: it is a BaseException that
unwinds a search from inside, because DSPy's algorithms swallow ordinary exceptions.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal


class StropError(Exception):
    """Root of every error that Strop raises on purpose.

    `hint` says what to do next; the command line prints it under the message.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(StropError):
    """What the user gave cannot be used. `file` and `line` (1-based) are set where there is one."""

    exit_code = 2
    http_status = 422

    def __init__(
        self, message: str, *, hint: str | None = None, file: str | None = None, line: int | None = None
    ) -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(where + message, hint=hint)
        self.file = file
        self.line = line


class TaskFileError(BadInput):
    """strop.yaml has an unknown key, a wrong type or a value that cannot be used."""


class DataError(BadInput):
    """A data file or an example cannot be used."""


class MetricError(BadInput):
    """A metric is unknown, misconfigured, or returned something that is not a score in 0..1."""


class ProgramError(BadInput):
    """A signature, strategy or saved program cannot be built."""


class SettingsError(BadInput):
    """A setting outside the task file cannot be used."""


class NotFound(StropError):
    """Nothing of that kind has that name."""

    exit_code = 2
    http_status = 404


class MissingExtra(StropError):
    """An optional package is needed and not installed."""

    exit_code = 2
    http_status = 501

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra [{extra}]", hint=f"pip install 'strop[{extra}]'")
        self.extra = extra


class PriceUnknown(StropError):
    """A model has no price in the package's table nor in the user's."""

    exit_code = 2
    http_status = 422

    def __init__(self, model: str, *, near: str | None = None, embedded: Sequence[str] = ()) -> None:
        """`near` is a known name that may be meant; `embedded` has the embedded models when `model` should be one."""
        if embedded:
            super().__init__(f"there is no embedded model {model!r}", hint=f"there are {', '.join(embedded)}")
        else:
            super().__init__(
                f"no price is known for model {model!r}",
                hint=f"{'' if near is None else f'did you mean {near!r}? else '}"
                "add it to prices.yaml beside strop.yaml, in USD per million tokens:\n"
                f"  {model}: {{input: ..., output: ...}}\n"
                "for a model that you run yourself: {input: 0, output: 0}",
            )
        self.model = model


class RunFailed(StropError):
    """The run ended without a result; nothing was invented in its place."""

    exit_code = 3
    http_status = 502


class ProviderDown(RunFailed):
    """The provider refuses or does not answer, so often that going on would measure the outage."""

    def __init__(self, model: str, cause: str, *, hint: str | None = None) -> None:
        super().__init__(f"model {model!r} cannot be used: {cause}", hint=hint)
        self.model = model
        self.cause = cause


class SearchFailed(RunFailed):
    """The optimisation algorithm itself broke."""


class BudgetExceeded(StropError):
    """A call was refused because its worst-case cost does not fit the budget."""

    exit_code = 4
    http_status = 402


class ConstraintsUnmet(StropError):
    """No candidate satisfies every constraint; the message names each one with what was measured."""

    exit_code = 4
    http_status = 422


class StoreError(StropError):
    """The database cannot be used."""

    exit_code = 5
    http_status = 503


class StoreTooNew(StoreError):
    """The database was written by a newer program than this one."""


class StoreUnwritable(StoreError):
    """The disk is full or the directory cannot be written; what was committed before is intact."""


class LeaseHeld(StropError):
    """Another living process owns this run."""

    exit_code = 6
    http_status = 409


class Fenced(StropError):
    """This process was away longer than its lease, and another one owns the run now."""

    exit_code = 6
    http_status = 409


class ArtifactRefused(StropError):
    """A saved program was altered, or is of a kind that would execute code when loaded."""

    exit_code = 7
    http_status = 422


class ReplayMiss(StropError):
    """Replay answers from the ledger alone, and this call is not in it."""

    exit_code = 8
    http_status = 409


FailureKind = Literal[
    "auth", "not_found", "bad_request", "context_window", "refused_content", "rate_limit", "server", "timeout",
    "connection", "garbage",
]  # fmt: skip


class CallFailed(StropError):
    """One model call ended without an answer, after its retries.

    `kind` says why in one word; `outage` kinds say something about the provider, the others about this request.
    """

    http_status = 502

    def __init__(
        self, model: str, kind: FailureKind, detail: str, *, retry_after: float | None = None, unsent: bool = False
    ) -> None:
        super().__init__(f"{model}: {kind}: {detail}")
        self.unsent = unsent
        self.model = model
        self.kind: FailureKind = kind
        self.detail = detail
        self.retry_after = retry_after

    @property
    def may_be_billed(self) -> bool:
        """True when the provider may have produced, and charge for, an answer that never arrived."""
        return not self.unsent and self.kind in {"timeout", "connection", "garbage", "refused_content"}

    @property
    def transient(self) -> bool:
        """True when the same request may succeed later."""
        return self.kind in {"rate_limit", "server", "timeout", "connection", "garbage"}

    @property
    def outage(self) -> bool:
        """True when the failure is about the provider or the account, not about this request."""
        return self.kind in {"auth", "not_found"} or self.transient


StopCause = Literal[
    "budget_exceeded", "cancelled", "timeout", "provider_down", "fenced", "store_failed", "replay_miss", "converged"
]  # fmt: skip


class RunStopped(BaseException):
    """Unwinds a search from inside a model call. Caught in `runs/` only."""

    def __init__(self, cause: StopCause, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause: StopCause = cause
        self.detail = detail
