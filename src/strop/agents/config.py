"""config.yaml of a coding-agent project: which sessions, which models, which search, where the results go."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator, model_validator

from strop.errors import BadInput, SettingsError, StropError, TaskFileError
from strop.optimizers import find, settings_of
from strop.runs import ModelSpec, TaskFile, load_task, read_settings

CONFIG_FILE = "config.yaml"
OLLAMA = "http://localhost:11434"
GOOD_ENOUGH = 0.8
"""Score from which an answer of the teacher may become an example; the answer's words rarely make a full 1."""

_PROVIDERS = {"ollama": "ollama_chat", "google": "gemini", "openai-compatible": "openai", "openai_compatible": "openai"}
CANDIDATES = {"light": 6, "medium": 12, "heavy": 18}
"""Of MIPROv2's own modes; a test holds them to the algorithm's table."""
_MEANT = {
    "algorithm": "optimizer", "optimiser": "optimizer", "auto": "auto_mode", "trials": "num_trials",
    "budget": "budget_usd", "seed": "random_seed", "weights": "metric_weights", "base_url": "api_base",
    "targets": "target", "train": "train_split", "val": "val_split", "test": "test_split", "dev_split": "val_split",
    "threads": "concurrency", "num_threads": "concurrency", "output": "outputs", "model": "models",
}  # fmt: skip

WeightName = Literal[
    "success", "efficiency", "correctness", "tool_validity", "plan_coherence", "first_action_match", "reasoning"
]
"""Of the coding metric's own parts; a test holds them to the metric."""

Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
Directory = Annotated[str, Field(min_length=1)]


class _Settings(BaseModel):
    """Frozen, strict and closed: an unknown key or a value of another type is an error, never a guess."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def _several(value: object) -> object:
    if value is None or isinstance(value, tuple):
        return value
    return tuple(cast("list[object]", value)) if isinstance(value, list) else (value,)


class DataConfig(_Settings):
    """Which sessions are learnt from, and how they are divided."""

    raw_dir: Directory = "./data/raw"
    """Session logs, one JSON file each."""
    processed_dir: Directory = "./data/processed"
    """Where the examples made from them are kept."""
    splits_dir: Directory = "./data/splits"
    """Where train, dev and test are written."""
    train_split: Share = 0.2
    """Share of the examples that demos and instructions are made from."""
    val_split: Share | None = None
    """Share that candidates are compared and proved on. Unset: what the others leave."""
    test_split: Share | None = None
    """Share of sealed examples, which the search never sees and the verdict rests on. Unset: half of `val_split`."""
    min_examples: int = Field(default=10, ge=1)
    """Fewer examples than these are refused."""
    require_success: bool = True
    """Only examples that succeeded. `false` keeps those that are known to have failed as negatives: plans to avoid."""
    success_of: Literal["example", "session"] = "example"
    """Whether an example is judged by its own outcome or by that of its whole session."""
    agent_filter: Annotated[tuple[str, ...] | None, BeforeValidator(_several)] = None
    """Only sessions of these agents."""
    min_correctness: float | None = Field(default=None, ge=0, le=1)
    """Least correctness that the log itself records, where it does."""
    min_efficiency: float | None = Field(default=None, ge=0, le=1)
    """Least efficiency that the log itself records, where it does."""
    random_seed: int = Field(default=42, ge=0, lt=2**32)
    """Makes split and search repeatable."""

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        given = [share for share in (self.train_split, self.val_split, self.test_split) if share is not None]
        whole = self.val_split is not None
        if sum(given) > 1 + 1e-6 or (whole and sum(given) < 1 - 1e-6) or (not whole and sum(given) >= 1):
            names = "train_split, val_split and test_split" if self.test_split else "train_split and val_split"
            raise ValueError(f"{names} must add up to 1, not {sum(given):g}")
        return self

    @property
    def shares(self) -> tuple[float, float, float]:
        """Train, dev and sealed test; they add up to 1."""
        if self.test_split is not None:
            return self.train_split, 1 - self.train_split - self.test_split, self.test_split
        half = (1 - self.train_split) / 2
        return self.train_split, half, half


class AgentModel(_Settings):
    """One model, as `provider` and `model`, or as `model: provider/name` alone."""

    provider: str | None = Field(default=None, min_length=1)
    """ollama, anthropic, openai, openai-compatible (with `api_base`), google ..., or embedded."""
    model: str = Field(min_length=1, pattern=r"^\S+$")
    """The provider's name of the model."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; unset leaves the model's own default."""
    api_base: str | None = Field(default=None, min_length=1)
    """Address of the endpoint. ollama: http://localhost:11434 unless OLLAMA_API_BASE or OLLAMA_HOST says another."""
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds the key. Never the key itself."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most output tokens of one answer."""
    concurrency: int | None = Field(default=None, ge=1, le=1024)
    """Most calls in flight to this model."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider is None and "/" not in self.model:
            raise ValueError("`provider` is missing; name it, or write the model as provider/name")
        if (self.provider or "").lower() in {"openai-compatible", "openai_compatible"} and self.api_base is None:
            raise ValueError("provider openai-compatible needs an `api_base`")
        return self

    @property
    def name(self) -> str:
        """`provider/model` as the gateway knows it."""
        if self.provider is None:
            provider, _, model = self.model.partition("/")
        else:
            provider, model = self.provider, self.model.removeprefix(f"{self.provider}/")
        provider = provider.lower()
        return f"{_PROVIDERS.get(provider, provider)}/{model}"

    @property
    def spec(self) -> ModelSpec:
        """The model for a task."""
        kept = self.model_dump(exclude={"provider", "model"}, exclude_none=True)
        if self.name.startswith("ollama_chat/") and not _ollama_elsewhere():
            kept.setdefault("api_base", OLLAMA)
        return ModelSpec(model=self.name, **kept)


class ModelsConfig(_Settings):
    """Whose prompt is optimised, and who helps."""

    target: Annotated[tuple[AgentModel, ...], BeforeValidator(_several), Field(min_length=1)]
    """The model that the prompt is for, or a list of several: each gets a run and a prompt of its own."""
    teacher: AgentModel | None = None
    """The model that writes instructions and whose answers become examples. Unset: the target itself."""

    @field_validator("target")
    @classmethod
    def _each_once(cls, value: tuple[AgentModel, ...]) -> tuple[AgentModel, ...]:
        names = [one.name for one in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"model {min(twice)!r} is a target twice")
        return value


class OptimizationConfig(_Settings):
    """How to search, how to score, how much it may cost."""

    optimizer: str = "MIPROv2"
    """MIPROv2, COPRO, BootstrapFewShot, or any other algorithm of `strop optimize`."""
    auto_mode: Literal["light", "medium", "heavy"] | None = "light"
    """How much to try."""
    num_trials: int | None = Field(default=None, ge=1, le=10_000)
    """Combinations that are tried. With it, `auto_mode` only says how many candidates they are combined from."""
    max_bootstrapped_demos: int = Field(default=3, ge=0, le=1000)
    """Most examples made from the teacher's own good answers."""
    max_labeled_demos: int = Field(default=2, ge=0, le=1000)
    """Most examples taken from the sessions as they are."""
    depth: int = Field(default=3, ge=1, le=50)
    """COPRO: how often instructions are written anew from the scores of the old ones."""
    settings: dict[str, JsonValue] = {}
    """Further settings of the algorithm, as in strop.yaml."""
    metric_weights: dict[WeightName, Weight] = Field(
        default={"success": 0.5, "efficiency": 0.3, "correctness": 0.2}, min_length=1
    )
    """How much each part of the coding metric counts."""
    metric: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
    """A metric of your own instead, as `module:function`: fn(example, prediction, trace=None) -> 0..1."""
    strategy: Literal["cot", "predict"] = "cot"
    """`cot` reasons before the plan, `predict` plans at once."""
    instructions: str | None = Field(default=None, min_length=1)
    """What the agent is told to begin with; your agent's present prompt, say. Unset: a plain sentence."""
    budget_usd: float | None = Field(default=1.0, ge=0)
    """Most that the run of one target may spend, in USD. `null` is no limit."""
    timeout_s: float | None = Field(default=3600.0, gt=0)
    """Seconds after which a search ends with the best result so far. `null` is no limit."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Most model calls in flight at once."""

    @field_validator("optimizer")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return find(value).name
        except SettingsError as error:
            raise ValueError(f"{error.message}; {error.hint}") from None

    @field_validator("metric_weights")
    @classmethod
    def _not_all_nothing(cls, value: dict[WeightName, float]) -> dict[WeightName, float]:
        if not any(value.values()):
            raise ValueError("not all weights can be 0")
        return value

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            settings_of(self.optimizer, self.algorithm[0])
        except SettingsError as error:
            raise ValueError(f"{error.message}{f'; {error.hint}' if error.hint else ''}") from None
        return self

    @property
    def algorithm(self) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
        """The algorithm's own settings, and the keys of this file that it has no use for."""
        kind = find(self.optimizer).settings
        known = {*kind.model_fields, *kind.other_names}
        wanted: dict[str, JsonValue] = {
            "max_bootstrapped_demos": self.max_bootstrapped_demos, "max_labeled_demos": self.max_labeled_demos,
            "depth": self.depth, "num_trials": self.num_trials, "metric_threshold": GOOD_ENOUGH,
        }  # fmt: skip
        if self.num_trials is not None and {"num_trials", "num_candidates"} <= known and self.auto_mode is not None:
            wanted["num_candidates"] = CANDIDATES[self.auto_mode]
        elif "auto" in known:
            wanted["auto"] = self.auto_mode
        used = {key: value for key, value in wanted.items() if key in known and value is not None}
        names = {"auto": "auto_mode", "num_candidates": "auto_mode"}
        taken = {names.get(key, key) for key in used}
        asked = {"auto_mode", "num_trials", "max_bootstrapped_demos", "max_labeled_demos", "depth"}
        unused = sorted((asked & self.model_fields_set) - taken)
        return {**used, **self.settings}, tuple(unused)


class OutputsConfig(_Settings):
    """Where the results go."""

    prompts_dir: Directory = "./outputs/prompts"
    """Optimised prompts, one file a target."""
    logs_dir: Directory = "./outputs/logs"
    """A plain log of each run."""
    candidates_dir: Directory = "./outputs/candidates"
    """What the search tried, with `save_intermediate`."""
    save_intermediate: bool = True
    """Keep every candidate of the search, not only the winner."""


class AgentConfig(_Settings):
    """The document's config.yaml."""

    name: str = Field(default="coding-agent", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")
    """Name of the project; versions of the prompt are kept under it and the target's."""
    data: DataConfig = DataConfig()
    """Which sessions are learnt from, and how they are divided."""
    models: ModelsConfig
    """Whose prompt is optimised, and who helps."""
    optimization: OptimizationConfig = OptimizationConfig()
    """How to search, how to score, how much it may cost."""
    outputs: OutputsConfig = OutputsConfig()
    """Where the results go."""


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A config.yaml as it was written; paths in it start in its directory."""

    config: AgentConfig
    path: Path

    @property
    def directory(self) -> Path:
        """Where the file lies, absolute."""
        return self.path.parent

    def resolve(self, name: str) -> Path:
        """A path that the file names, made absolute."""
        return self.directory / Path(name).expanduser()


@contextmanager
def in_words_of(file: ConfigFile) -> Generator[None]:
    """Hints of errors that are raised inside the block name this file where they mean the task file."""
    try:
        yield
    except StropError as error:
        error.hint = None if error.hint is None else error.hint.replace("strop.yaml", file.path.name)
        raise


def load_config(path: str | Path = ".") -> ConfigFile | TaskFile:
    """A config.yaml, or a strop.yaml, or the one that a directory has (config.yaml first).

    Raises:
        TaskFileError: there is none, or it has mistakes: each with its line and the nearest right name.
    """
    file = Path(path)
    if file.is_dir():
        file = next(
            (file / name for name in (CONFIG_FILE, "strop.yaml") if (file / name).is_file()), file / CONFIG_FILE
        )
    if not file.is_file():
        raise TaskFileError(
            f"there is no {str(file)!r}", hint="`strop init --example opencode DIR` writes a project that has one"
        )
    if _is_task(file):
        return load_task(file)
    config, _ = read_settings(file, AgentConfig, schema="README.md of the project", meant=_MEANT)
    return ConfigFile(config=config, path=file.resolve())


def need_config(path: str | Path = ".") -> ConfigFile:
    """As `load_config`, for what only a config.yaml can say. Raises BadInput for a strop.yaml."""
    found = load_config(path)
    if isinstance(found, ConfigFile):
        return found
    raise BadInput(f"{str(found.path)!r} is a task file; this command needs a config.yaml")


def _is_task(file: Path) -> bool:
    try:
        text = file.read_bytes()[:1_000_000].decode("utf-8", "replace")
    except OSError:
        return False
    return bool(re.search(r"^(?:task|signature):", text, re.MULTILINE))


def _ollama_elsewhere() -> bool:
    return any(os.environ.get(name) for name in ("OLLAMA_API_BASE", "OLLAMA_BASE_URL", "OLLAMA_HOST"))
