"""What must be done, as data: the models behind strop.yaml. Their docstrings are the reference of every key."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from strop.errors import SettingsError
from strop.gateway import ModelSettings

REFERENCE = r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*"
"""A Python object as text, `module:name`."""

Share = Annotated[float, Field(gt=0, lt=1)]
Reference = Annotated[str, Field(pattern=rf"^{REFERENCE}$")]
FilePath = Annotated[str, Field(min_length=1)]


class Spec(BaseModel):
    """Frozen, strict, and closed: an unknown key or a value of another type is an error, never a guess."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ShortSpec(Spec):
    """A spec that may be written as plain text, which then stands for its field `short`."""

    short: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if isinstance(value, str):
            return {cls.short: value}
        if isinstance(value, dict | cls):
            return cast("object", value)
        raise ValueError(f"must be text (its `{cls.short}`) or a mapping")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        mapping = handler(core)
        text = mapping["properties"][cls.short]
        if text.get("type") != "string":
            text = {"type": "string", "minLength": 1}
        text = {key: value for key, value in text.items() if key not in {"title", "default"}}
        return {"anyOf": [text | {"description": f"Stands for `{cls.short}` alone."}, mapping]}


class SplitSpec(Spec):
    """Shares of one file's examples. They must add up to 1."""

    train: Share = 0.4
    """Examples that the algorithm learns from: demos and material for new instructions."""
    dev: Share = 0.3
    """Examples on which candidates are compared during the search."""
    test: Share = 0.3
    """Sealed examples that the search never sees; the verdict rests on them, so they deserve a large share."""

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.train + self.dev + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, dev and test must add up to 1, not {total:g}")
        return self


class DataSpec(ShortSpec):
    """Where the examples are (JSONL, JSON or CSV): one `file` to split, or files that you split yourself."""

    short: ClassVar[str] = "file"

    file: FilePath | None = None
    """One file, split by a seeded hash of each example into train, dev and sealed test."""
    train: FilePath | None = None
    """File of examples to learn from, when you split yourself; without `dev` a part of them is set aside for it."""
    dev: FilePath | None = None
    """File of examples to compare candidates on."""
    test: FilePath | None = None
    """File of sealed examples for the verdict; needed beside `train`."""
    id: str | None = Field(default=None, min_length=1)
    """Column that names an example; without it the content does."""
    group: str | None = Field(default=None, min_length=1)
    """Column whose equal values (a customer, a conversation) must stay together on one side of the split."""
    split: SplitSpec = SplitSpec()
    """Shares for the split of `file`."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.file is None) == (self.train is None):
            raise ValueError(
                "give either `file` (one file to split) or `train` and `test` (and `dev`, if you have one)"
            )
        if self.file is not None and (self.dev or self.test):
            raise ValueError("`file` is split into train, dev and test: leave out `dev` and `test`, or name `train`")
        if self.train is not None and self.test is None:
            raise ValueError("`train` needs a `test` file beside it: a gain is proved on examples the search never saw")
        return self


class ModelSpec(ModelSettings, ShortSpec):
    """One model: its name, where it is, how it samples, how fast it may be asked."""

    short: ClassVar[str] = "model"


class ModelsSpec(ShortSpec):
    """Which model does what. Plain text names the task model alone."""

    short: ClassVar[str] = "task"

    task: ModelSpec
    """The model that answers, in the search and later in use."""
    prompt: ModelSpec | None = None
    """The model that writes instructions; a larger one pays off. Unset: the task model."""
    teacher: ModelSpec | None = None
    """The model whose answers become demos. Unset: the task model."""


class AlgorithmSpec(ShortSpec):
    """How to search. Every key beside `name` is a setting of that algorithm, checked by the algorithm itself."""

    model_config = ConfigDict(extra="allow")
    short: ClassVar[str] = "name"

    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride] - typed extras

    name: str = Field(
        min_length=1,
        examples=[
            "auto", "labeledfewshot", "bootstrapfewshot", "bootstrap_random_search", "copro", "miprov2",
            "gepa", "simba", "inferrules",
        ],
    )  # fmt: skip
    """`auto` chooses by the amount of data and the budget, and says why."""

    @property
    def settings(self) -> dict[str, JsonValue]:
        """The keys beside `name`, as they were given."""
        return dict(self.__pydantic_extra__)


class ConstraintsSpec(Spec):
    """What a candidate must satisfy to win at all; a candidate outside them loses however well it scores."""

    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of one request, input and output, on average."""
    max_cost_usd_per_request: float | None = Field(default=None, ge=0)
    """Most that one request may cost on average, in USD."""
    max_latency_ms: float | None = Field(default=None, gt=0)
    """Slowest 95th percentile of latency, in milliseconds."""
    min_accuracy: float | None = Field(default=None, ge=0, le=1)
    """Lowest score, 0..1, that is acceptable."""
    target_model: str | None = Field(default=None, min_length=3)
    """The model that the winner must run on, when it is another than the task model."""


class GateSpec(ShortSpec):
    """What happens to a new version at the end of a run."""

    short: ClassVar[str] = "policy"

    policy: Literal["auto", "manual", "ab_required"] = "auto"
    """`auto`: a proven gain becomes the active version; `manual`: a person activates it; `ab_required`: it must
    first win an experiment on live traffic."""
    min_gain: float = Field(default=0.0, ge=0, le=1)
    """Smallest gain of the score (0..1) on the test examples that is worth a change; 0.02 is two points."""


def _name_or_mapping(value: object) -> object:
    if isinstance(value, str | dict):
        return cast("object", value)
    raise ValueError("must be the name of a metric or a mapping with its settings")


class TaskSpec(Spec):
    """A task for Strop: what to do, examples of it, how to score, which models, how much it may cost."""

    task: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the task: letters, digits, `-`, `_` and `.`. Versions of the program are kept under it."""
    signature: str = Field(pattern=rf"^([\s\S]*\S[\s\S]*->[\s\S]*\S[\s\S]*|\s*{REFERENCE}\s*)$")
    """Inputs and outputs as DSPy writes them, `question, context -> answer` or `text -> label: Literal['a', 'b']`, or a
    class as `module:Class`."""
    instructions: str | None = None
    """What the model is told to begin with; the search improves on it. Unset: written from the signature."""
    strategy: Literal["predict", "cot", "react"] = "predict"
    """`predict` answers at once, `cot` reasons first, `react` may use `tools`."""
    tools: tuple[Reference, ...] = Field(default=(), strict=False)
    """Python functions, as `module:function`, that the strategy `react` may call."""
    data: DataSpec
    """Where the examples are: one file to split, or files that you split yourself."""
    fields: dict[str, Annotated[str, Field(min_length=1)]] = {}
    """Column of the data for each field of the signature, where the two names differ."""
    metric: Annotated[
        str | dict[str, JsonValue],
        BeforeValidator(_name_or_mapping),
        WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "minProperties": 1}]}),
    ] = Field(min_length=1, examples=["accuracy", "exact_match", "f1", "rouge", "bleu", "my_metrics:score"])
    """How an answer is scored, 0..1: a metric's name, `module:function`, or a mapping of `name` and settings."""
    models: ModelsSpec
    """Which model answers, and if you like which other one writes instructions and which teaches."""
    algorithm: AlgorithmSpec = AlgorithmSpec(name="auto")
    """The search: a name, or a mapping of `name` and the algorithm's own settings."""
    budget_usd: float | None = Field(default=1.0, ge=0)
    """Most that one run may spend, in USD; no call is started that could exceed it. `null` is no limit."""
    constraints: ConstraintsSpec = ConstraintsSpec()
    """What a candidate must satisfy to win."""
    gate: GateSpec = GateSpec()
    """What happens to a new version: a policy, or a mapping of `policy` and `min_gain`."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Makes a run repeatable: the split, the search and the embedded models follow it."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Most model calls in flight at once."""
    max_iterations: int | None = Field(default=None, ge=1)
    """Most rounds of the search, in the algorithm's own sense of a round. Unset: the algorithm's default."""
    timeout_s: float | None = Field(default=3600.0, gt=0)
    """Seconds after which the search ends with the best result so far. `null` is no limit."""
    database: str | None = Field(default=None, min_length=1)
    """Where runs and versions are kept: a path or a database URL. Unset: STROP_DATABASE_URL, else `.strop/strop.db`
    beside this file."""
    warm_ahead: bool = True
    """Ask ahead, in parallel, for what the serial phases of an algorithm are about to need. Same result, sooner; at
    most `concurrency` extra calls, which are counted."""

    @model_validator(mode="after")
    def _tools_need_react(self) -> Self:
        if self.tools and self.strategy != "react":
            raise ValueError(f"`tools` are for `strategy: react`, not {self.strategy!r}")
        return self

    def changed(self, **changes: object) -> TaskSpec:
        """This task with other values for some keys (short forms allowed), checked again; raises SettingsError."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        try:
            return TaskSpec.model_validate(given | changes)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise SettingsError(told) from None
