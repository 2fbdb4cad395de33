"""What a session is asked to do: models, limits, phases. Names and defaults are those of the learning-session guide.

Every key is also read in the guide's spelling (`costBudget`), so that its JSON works as it is.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from strop.errors import SettingsError
from strop.runs import TaskSpec, full_model_name


class ModelProvider(StrEnum):
    """Who serves a model. The first four are the guide's; `EMBEDDED` are the offline models of this package, `OTHER`
    any model that is named in full (`groq/openai/gpt-oss-120b`, `ollama_chat/qwen3`)."""

    CLAUDE = "claude"
    GPT4 = "gpt4"
    LLAMA = "llama"
    GEMINI = "gemini"
    EMBEDDED = "embedded"
    OTHER = "other"


class TrainingPhase(StrEnum):
    """The five phases, in their order."""

    BASELINE = "baseline"
    OPTIMIZATION = "optimization"
    CROSS_LEARNING = "cross_learning"
    BENCHMARK = "benchmark"
    REPORT = "report"


PREFIXES = {
    ModelProvider.CLAUDE: "anthropic",
    ModelProvider.GPT4: "openai",
    ModelProvider.LLAMA: "together_ai",
    ModelProvider.GEMINI: "gemini",
    ModelProvider.EMBEDDED: "embedded",
}
KEYS = {
    ModelProvider.CLAUDE: "ANTHROPIC_API_KEY",
    ModelProvider.GPT4: "OPENAI_API_KEY",
    ModelProvider.LLAMA: "TOGETHER_API_KEY",
    ModelProvider.GEMINI: "GEMINI_API_KEY",
}
"""Environment variable of each provider's key. Gemini's may also be GOOGLE_API_KEY."""
SUCCESSORS = {
    "anthropic/claude-sonnet-4": "anthropic/claude-sonnet-4-5",
    "openai/gpt-4-turbo": "openai/gpt-4.1",
    "gemini/gemini-2.0-flash-exp": "gemini/gemini-2.5-flash",
    "together_ai/llama-3.1-70b": "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
}
"""The guide's four models are withdrawn or no provider's names: what is asked instead, and shown in every result."""


class SessionSpec(BaseModel):
    """Frozen and closed; read in Python's spelling and in the guide's."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, populate_by_name=True,
        alias_generator=to_camel, serialize_by_alias=False,
    )  # fmt: skip

    def __init__(self, /, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise SettingsError(_told(type(self).__name__, error)) from None


class ModelConfig(SessionSpec):
    """One model of a session."""

    provider: ModelProvider = ModelProvider.OTHER
    """Who serves it. Left out, the name says it."""
    model: str = Field(min_length=1)
    """The provider's own name (`claude-sonnet-4-5`), or a full one (`groq/openai/gpt-oss-120b`, `embedded/small`)."""
    api_key: SecretStr | None = Field(default=None, exclude=True)
    """The key itself, if it is not in the environment. Kept in memory only: never stored, logged or reported."""
    name: str | None = Field(default=None, min_length=1, max_length=80)
    """What it is called in results, unique in a session. Left out: its own name, numbered where two are equal."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Sampling temperature."""
    max_tokens: int = Field(default=1000, ge=1)
    """Most output tokens of one answer; with the price it bounds what one call can cost."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling, where the provider knows it."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Penalty for words that are there already, where the provider knows it."""
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Penalty for words that are frequent already, where the provider knows it."""
    api_base: str | None = None
    """Address of the endpoint, when it is not the provider's own."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds the key, when it is not the provider's usual one."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Most calls started in any minute."""
    retries: int = Field(default=2, ge=0, le=20)
    """Further attempts after a transient failure."""
    latency_ms: float = Field(default=0, ge=0, le=60_000)
    """Embedded models only: milliseconds that a call sleeps, to try out concurrency."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: object) -> object:
        return {"model": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _provider_known(self) -> Self:
        if self.provider is ModelProvider.OTHER:
            prefix = full_model_name(self.model).split("/", 1)[0]
            found = next((one for one, text in PREFIXES.items() if text == prefix), ModelProvider.OTHER)
            object.__setattr__(self, "provider", found)
        if self.latency_ms and self.provider is not ModelProvider.EMBEDDED:
            raise ValueError("latency_ms is for embedded models; a real model has its own latency")
        return self

    @property
    def full_name(self) -> str:
        """`provider/model`, as the gateway and the price table know it."""
        prefix = PREFIXES.get(self.provider)
        own = self.model.removeprefix(f"{prefix}/")
        full = f"{prefix}/{own}" if prefix else full_model_name(self.model)
        return SUCCESSORS.get(full, full)


def _model_configs(value: object) -> object:
    if isinstance(value, str | ModelConfig | dict):
        value = [cast("object", value)]
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


class TrainingConfig(SessionSpec):
    """A session. The ten documented keys first; a few of ours after them, all optional."""

    models: Annotated[tuple[ModelConfig, ...], BeforeValidator(_model_configs)] = Field(min_length=1)
    """The models to train. Several of one provider are several models."""
    optimization_rounds: int = Field(default=5, ge=0, le=200)
    """Rounds of optimisation a model, at most; a model that has converged takes fewer."""
    convergence_threshold: float = Field(default=0.95, ge=0, le=1)
    """Score on the dev examples with which a model needs no further round."""
    max_concurrency: int = Field(default=4, ge=1, le=512)
    """Most model calls in flight at once, over all models."""
    enable_cross_learning: bool = True
    """Try what won on one model on the others."""
    enable_hooks_integration: bool = True
    """Tell the `hooks_integration` event at the end, and run the `hooks`."""
    cost_budget: float | None = Field(default=None, ge=0)
    """Most that the whole session may spend, in USD; 0 buys nothing, None is no limit."""
    timeout_per_iteration: float = Field(default=30_000, gt=0)
    """Milliseconds that one model call may take."""
    baseline_iterations: int = Field(default=3, ge=1, le=1000)
    """Iterations of the baseline phase: the dev examples are measured in so many parts."""
    benchmark_samples: int = Field(default=100, ge=1, le=100_000)
    """Most sealed examples of the final benchmark."""

    task: TaskSpec | str | None = None
    """A real task with data and a metric: a task file, its directory, or a TaskSpec. Left out: prompt and signature."""
    algorithm: str | dict[str, JsonValue] = "auto"
    """How a round looks for a better program: `auto` (alternates examples and instructions), any algorithm of
    `strop optimize`, or a mapping of `name` and its settings."""
    prompt_model: ModelConfig | None = None
    """The model that writes instructions. Left out: each model writes its own."""
    judge_model: ModelConfig | None = None
    """The model that is asked whether an output keeps a constraint in plain words. Its temperature is 0 unless it is
    set. Left out: such a constraint is an error."""
    plateau_patience: int | None = Field(default=2, ge=1)
    """Rounds without a better program after which a model has converged; None never."""
    dev_samples: int = Field(default=48, ge=1)
    """Most dev examples on which programs are compared during the search."""
    stop_dominated: bool = True
    """End the rounds of a model that another one beats in quality, cost and latency with confidence."""
    hooks: tuple[str, ...] = ()
    """Hooks beside our own store: `claude-flow`, `module:function`, or any command, which gets the event on standard
    input. Names of events may stand before it (`complete,error=notify-send {event}`); without them it hears
    `hooks_integration`. For a Python callable see `TrainingSession.hook`."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Makes a session repeatable."""
    timeout_s: float | None = Field(default=None, gt=0)
    """Seconds after which the session ends with what it has; None is no limit."""

    @field_validator("judge_model")
    @classmethod
    def _judge_calm(cls, judge: ModelConfig | None) -> ModelConfig | None:
        if judge is None or "temperature" in judge.model_fields_set:
            return judge
        return judge.model_copy(update={"temperature": 0.0})

    @field_validator("hooks", mode="before")
    @classmethod
    def _one_hook(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = list(self.names)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are called {twice[0]!r}; give them different names")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What each model is called, in the order of `models`."""
        taken: list[str] = []
        for one in self.models:
            name = one.name or one.model.removeprefix(f"{PREFIXES.get(one.provider)}/")
            if one.name is None and name in taken:
                name = next(f"{name}#{n}" for n in range(2, 10_000) if f"{name}#{n}" not in taken)
            taken.append(name)
        return tuple(taken)

    def stored(self) -> dict[str, Any]:
        """The config as plain JSON values, without any key."""
        kept = self.model_dump(mode="json", exclude_defaults=True, by_alias=False)
        if self.judge_model is not None:
            # Whole, for its temperature when left out is not that of other models.
            kept["judge_model"] = self.judge_model.model_dump(mode="json", exclude_none=True)
        return kept | {"models": [one.model_dump(mode="json", exclude_defaults=True) for one in self.models]}


class SignatureExample(SessionSpec):
    """One example of what is wanted."""

    input: str
    """What the model gets."""
    output: str
    """What it should give."""


class Signature(SessionSpec):
    """What goes in and what comes out, in words (the guide's `DSPySignature`)."""

    input: str = Field(min_length=1)
    """What the input is."""
    output: str = Field(min_length=1)
    """What the output should be."""
    examples: tuple[SignatureExample, ...] = ()
    """A few examples."""
    constraints: tuple[str, ...] = ()
    """Rules for every output: `contains:X`, `min_length:N`, `max_length:N` (characters), `regex:P`, `one_of:a|b`,
    `json_schema:{...}`; with a `judge_model` also any in plain words."""
    objectives: tuple[str, ...] = ()
    """What to aim at, in words; the models are told."""
    name: str = "task"
    """Name of the task."""


DSPySignature = Signature


_WORDING = {
    "extra_forbidden": "there is no such key",
    "missing": "is missing",
    "too_short": "needs at least one",
    "finite_number": "must be a finite number",
}
"""What pydantic's kinds of fault are called here."""


def _told(what: str, error: ValidationError) -> str:
    """Every fault with its key, and never the value of a key."""
    lines: list[str] = []
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        says = re.sub(r"^Value error, ", "", str(fault["msg"]))
        says = _WORDING.get(fault["type"], says)
        lines.append(f"{where}: {says}" if where else says)
    return f"{what}: " + "; ".join(lines)


__all__ = [
    "KEYS", "PREFIXES", "DSPySignature", "ModelConfig", "ModelProvider", "Signature", "SignatureExample",
    "TrainingConfig", "TrainingPhase",
]  # fmt: skip
