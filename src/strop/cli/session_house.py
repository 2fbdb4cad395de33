"""From the options of `strop sessions` to a session: its models, its config, what it works on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from strop.errors import BadInput, SettingsError

if TYPE_CHECKING:
    from strop.app import House
    from strop.sessions import Problem, SessionRecord, Signature, TrainingConfig, TrainingSession

TASK_FILE = "strop.yaml"
ALIASES = {
    "claude": "anthropic/claude-sonnet-4-5",
    "gpt4": "openai/gpt-4.1",
    "llama": "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "gemini": "gemini/gemini-2.5-flash",
    "small": "embedded/small",
    "medium": "embedded/medium",
    "large": "embedded/large",
}
"""Short names. The first four are the guide's; the models that it names are withdrawn, these are their successors."""
KEYS: dict[str, tuple[str, ...]] = {
    "anthropic": ("ANTHROPIC_API_KEY",), "openai": ("OPENAI_API_KEY",), "together_ai": ("TOGETHER_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}  # fmt: skip
USUAL = ("gemini", "claude")
OFFLINE = ("small", "large")
MILLION = 1_000_000
PRESETS: dict[str, dict[str, float]] = {
    "default": {
        "optimization_rounds": 5, "convergence_threshold": 0.95, "benchmark_samples": 50, "baseline_iterations": 3,
        "temperature": 0.7, "cost_budget": 10.0,
    },
    "quality-focused": {
        "optimization_rounds": 15, "convergence_threshold": 0.98, "benchmark_samples": 100, "baseline_iterations": 5,
        "temperature": 0.3, "cost_budget": 10.0,
    },
    "cost-optimized": {
        "optimization_rounds": 3, "convergence_threshold": 0.95, "benchmark_samples": 20, "baseline_iterations": 2,
        "temperature": 0.7, "cost_budget": 10.0,
    },
}  # fmt: skip
"""What the flags of the same names set; an option that is given wins."""
RESUMABLE = ("cost_budget", "max_concurrency", "timeout_s", "hooks")


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the models are asked to do, as it was given: a task, or a prompt with its signature."""

    task: Path | None = None
    prompt: str | None = None
    input: str | None = None
    expects: str | None = None
    constraints: tuple[str, ...] = ()
    signature: Path | None = None
    directory: Path = Path()

    @property
    def only_with_prompt(self) -> list[str]:
        """The options that were given and mean nothing for a task."""
        given = {
            "--input": self.input, "--expects": self.expects, "--constraint": self.constraints or None,
            "--signature": self.signature,
        }  # fmt: skip
        return [name for name, value in given.items() if value is not None]

    @property
    def folder(self) -> Path:
        """Where database, prices and keys are looked for."""
        if self.task is None:
            return self.directory
        return self.task if self.task.is_dir() else self.task.parent


def config_of(
    work: Work, models: str | None, preset: str, changes: Mapping[str, Any], *, keys: bool = True
) -> TrainingConfig:
    """The config of the options. `changes` are keys of TrainingConfig that were given, the judge as it was named; a
    plan needs no `keys`.

    Raises:
        BadInput: there is nothing to work on, or a model has no key.
    """
    from strop.sessions import ModelConfig, TrainingConfig

    values: dict[str, Any] = {**PRESETS[preset], **changes}
    temperature = values.pop("temperature")
    words = [word.strip() for word in models.split(",") if word.strip()] if models is not None else chosen()
    if not words:
        raise SettingsError("--models names no model", hint=_known())
    judge = values.pop("judge_model", None)
    if keys:
        need_keys([*words, *([judge] if judge else [])])
    if work.prompt is not None and work.task is not None:
        raise SettingsError("--prompt and --task exclude each other", hint="a session is about one or the other")
    if work.prompt is None:
        if work.only_with_prompt:
            raise SettingsError(
                f"{work.only_with_prompt[0]} is for a session by --prompt: a task has a signature of its own",
                hint="-p 'Write ...' with what its output must keep to, or leave it out",
            )
        if judge is not None:
            raise SettingsError(
                "--judge is for the constraints of a prompt: a task is scored by its metric",
                hint="-p 'Write ...' --constraint 'polite in tone' --judge MODEL",
            )
        values["task"] = _task_of(work)
    if judge is not None:
        values["judge_model"] = ModelConfig(model=model_of(judge))
    asked = tuple(ModelConfig(model=model_of(word), **_sampling(model_of(word), temperature)) for word in words)
    return TrainingConfig(models=asked, **values)


def _sampling(model: str, temperature: float) -> dict[str, Any]:
    """A preset's temperature, but not for models that are only sampled at their own."""
    from strop.gateway import ModelSettings

    return {} if ModelSettings(model=model).reasoning_family else {"temperature": temperature}


def resumed(record: SessionRecord, changes: Mapping[str, Any], house: House) -> TrainingSession:
    """A recorded session that goes on; some of its limits may be changed.

    Raises:
        SettingsError: another option was given: it would be another session.
    """
    from strop.sessions import TrainingSession

    refuse([key for key in changes if key not in RESUMABLE])
    return TrainingSession.of(
        record, store=house.store, gateway=house.gateway, home=house.place.reports.parent, **changes
    )


def refuse(names: Sequence[str]) -> None:
    """Raises SettingsError when there are names of what a resumed session cannot change."""
    if names:
        raise SettingsError(
            f"{names[0]} cannot be changed when a session is resumed: it would be another session",
            hint="leave out --resume for a new one; what the two have in common is answered from the ledger",
        )


def signature_of(work: Work) -> Signature | None:
    """The signature of a session by prompt: a file, the options, or both (the options win)."""
    from strop.sessions import Signature

    if work.prompt is None:
        return None
    values = _signature_file(work.signature) if work.signature is not None else {}
    given = {"input": work.input, "output": work.expects, "constraints": work.constraints or None}
    merged: dict[str, Any] = {"input": "a request", "output": "the answer to it", **values}
    merged.update({key: value for key, value in given.items() if value is not None})
    return Signature(**merged)


def problem_of(config: TrainingConfig, work: Work) -> Problem:
    """What the session would work on; nothing is called and no database opened."""
    from strop.sessions import TrainingSession

    return TrainingSession(config, directory=work.folder).problem(work.prompt, signature_of(work))


def preset_of(*, quality_focused: bool, cost_optimized: bool) -> str:
    """The preset that the flags name."""
    if quality_focused and cost_optimized:
        raise SettingsError("--quality-focused and --cost-optimized exclude each other", hint="choose one")
    return "quality-focused" if quality_focused else "cost-optimized" if cost_optimized else "default"


def model_of(word: str) -> str:
    """The full name that a word of --models stands for."""
    from strop.runs import full_model_name

    if word.lower() in ALIASES:
        return ALIASES[word.lower()]
    try:
        return full_model_name(word)
    except BadInput:
        raise SettingsError(f"there is no model {word!r}", hint=_known()) from None


def chosen() -> list[str]:
    """Without --models: the guide's two where their keys are, else two small offline models."""
    return list(USUAL) if not any(missing_key(word) for word in USUAL) else list(OFFLINE)


def missing_key(word: str) -> str | None:
    """The variable that a model's key is missing from; None when it is there or none is needed."""
    names = KEYS.get(model_of(word).split("/", 1)[0], ())
    return None if not names or any(os.environ.get(name) for name in names) else names[0]


def need_keys(words: Sequence[str]) -> None:
    """Raises SettingsError with every key that is missing, before anything is called."""
    lacking = {word: name for word in words if (name := missing_key(word)) is not None}
    if lacking:
        told = ", ".join(f"{word} needs {name}" for word, name in lacking.items())
        raise SettingsError(told, hint="put it into the environment or .env; -m small,large needs no key")


def check_hooks(config: TrainingConfig, home: Path) -> None:
    """Raises SettingsError when a hook cannot be read, its function is not there, or hooks are turned off, before
    anything is paid for."""
    from strop.sessions import parse_hook

    if config.hooks and not config.enable_hooks_integration:
        raise SettingsError(
            "--hook names a hook and --disable-hooks turns all of them off", hint="leave one of the two out"
        )
    for text in config.hooks:
        parse_hook(text, home)


def listed(directory: Path) -> list[dict[str, Any]]:
    """The short names, with prices in USD per million tokens and the key that each needs."""
    from strop.gateway import PriceTable, usd

    prices = PriceTable.load(directory / "prices.yaml")
    rows: list[dict[str, Any]] = []
    for word, model in ALIASES.items():
        price, lacking = prices.price(model), missing_key(word)
        names = KEYS.get(model.split("/", 1)[0])
        told = "none is needed" if names is None else "set" if lacking is None else f"{lacking} is not set"
        per = {"input": round(usd(price.input * MILLION), 6), "output": round(usd(price.output * MILLION), 6)}
        rows.append({"name": word, "model": model, **per, "key": told, "ready": lacking is None})
    return rows


def _task_of(work: Work) -> str:
    path = work.task or work.directory
    file = path / TASK_FILE if path.is_dir() else path
    if work.task is None and not file.is_file():
        raise BadInput(
            "there is nothing to train on",
            hint="-p 'Write a product description', --task strop.yaml, or `strop init` for a task to begin with",
        )
    return str(file.resolve())


def _signature_file(path: Path) -> dict[str, Any]:
    """JSON or YAML with input, output, examples, constraints, objectives."""
    import yaml

    try:
        data: object = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"the signature cannot be read: {error.strerror}", file=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"the signature is neither JSON nor YAML: {error}", file=str(path)) from None
    if not isinstance(data, dict):
        raise BadInput("a signature is a mapping with input and output", file=str(path))
    return cast("dict[str, Any]", data)


def _known() -> str:
    return f"known: {', '.join(ALIASES)}, or any full name such as groq/openai/gpt-oss-120b"
