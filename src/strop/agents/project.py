"""A project with its config.yaml and its house: its logs read and prepared, its winning prompt, how that is checked."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from strop.agents.archive import AgentArchive
from strop.agents.config import AgentConfig, AgentModel, ConfigFile, OptimizationConfig, in_words_of
from strop.agents.importing import ImportReport, Progress, Wanted, import_history
from strop.agents.judging import ANSWER_TOKENS
from strop.agents.parity import TOLERANCE, Parity, Trial, check_parity
from strop.agents.preparing import Prepared, PrepareSettings, prepare
from strop.agents.training import Workshop, agent_name, shortage, task_name, task_of, write_program_data
from strop.agents.transcript import Refusal
from strop.errors import DataError, NotFound, SettingsError
from strop.exporters import AgentPrompt, prompt_of
from strop.gateway import Account, Gateway, ModelSettings, pico
from strop.registry import Version


class House(Workshop, Protocol):
    """What checking a prompt needs of the house."""

    gateway: Gateway


@dataclass(frozen=True, kw_only=True)
class Winner:
    """A kept version of a target's prompt, ready to be exported."""

    target: AgentModel
    version: Version
    prompt: AgentPrompt


def prepare_settings(file: ConfigFile) -> PrepareSettings:
    """What config.yaml says about preparing."""
    data = file.config.data
    return PrepareSettings(
        processed_dir=file.resolve(data.processed_dir), splits_dir=file.resolve(data.splits_dir), shares=data.shares,
        min_examples=data.min_examples, require_success=data.require_success, success_of=data.success_of,
        agents=data.agent_filter, min_correctness=data.min_correctness, min_efficiency=data.min_efficiency,
        seed=data.random_seed,
    )  # fmt: skip


def read_and_prepare(
    file: ConfigFile,
    archive: AgentArchive,
    progress: Progress | None = None,
    *,
    judge: Callable[[PrepareSettings], None] | None = None,
) -> tuple[ImportReport, Prepared]:
    """Read the logs of `raw_dir` that are new, then prepare everything that the archive has.

    `judge` is called between the two, to say how those ended of which nothing else says it.

    Raises:
        DataError: there is nothing to learn from; the message says what is missing.
    """
    report = read_logs(file, archive, progress)
    settings = prepare_settings(file)
    if judge is not None:
        judge(settings)
    try:
        done = prepare(archive, settings, looked_in=str(file.resolve(file.config.data.raw_dir)))
    except DataError as error:
        refusals = report.refusals or (archive.refusals() if report.refused_before else ())
        if not refusals:
            raise
        count = report.refused + report.refused_before
        raise _with_refusals(error, refusals[0], count, converted=archive.counts().sessions > 0) from None
    lacking = shortage(file)
    return report, done if lacking is None else replace(done, notes=(*done.notes, lacking))


def read_logs(file: ConfigFile, archive: AgentArchive, progress: Progress | None = None) -> ImportReport:
    """Read the logs of `raw_dir` that are new.

    Raises:
        DataError: there are none, and the archive has none either.
    """
    raw = file.resolve(file.config.data.raw_dir)
    report = ImportReport()
    if raw.is_dir():
        try:
            report = import_history(archive, Wanted(paths=(raw,)), progress)
            if report.interrupted:
                raise KeyboardInterrupt
        except DataError:
            # Sessions that were imported from elsewhere are enough; without any, the same is told below or here.
            if not archive.counts().sessions:
                raise
    return report


def judge_model(file: ConfigFile, name: str) -> ModelSettings:
    """A judge by its name: one of config.yaml's models with its settings, or any other as provider/name.

    Raises:
        SettingsError: it is no name of a model.
    """
    models = file.config.models
    known = [*models.target, *([] if models.teacher is None else [models.teacher])]
    try:
        found = next((one for one in known if name in {one.name, one.model}), None) or AgentModel(model=name)
        settings = ModelSettings(**found.spec.model_dump())
    except ValidationError:
        raise SettingsError(
            f"the judge {name!r} is no name of a model", hint="write it as provider/name: openai/gpt-4o-mini, say"
        ) from None
    if settings.max_tokens is None and not settings.reasoning_family:
        settings = settings.model_copy(update={"max_tokens": ANSWER_TOKENS})
    return settings


def _with_refusals(error: DataError, first: Refusal, refused: int, *, converted: bool) -> DataError:
    """The error together with what could not be read, which may be its cause."""
    count = "1 place" if refused == 1 else f"{refused} places"
    told = f"{count} could not be read, first {first.where}: {first.reason}"
    if converted:
        return DataError(f"{error.message}; {told}", hint=error.hint)
    return DataError(
        f"Failed to convert any examples: {told}",
        hint="check that the session logs match the expected format; `strop agents import` lists all that it refused",
    )


def changed(
    file: ConfigFile, *, optimizer: str | None = None, budget_usd: float | None = None, target: str | None = None
) -> ConfigFile:
    """The file with another search, budget, or only one of its targets.

    Raises:
        NotFound: no target has that name.
        SettingsError: a value cannot be used.
    """
    config = file.config
    given = {name: getattr(config.optimization, name) for name in config.optimization.model_fields_set}
    given |= {} if optimizer is None else {"optimizer": optimizer}
    given |= {} if budget_usd is None else {"budget_usd": budget_usd}
    models = config.models if target is None else config.models.model_copy(update={"target": (_target(file, target),)})
    try:
        search = OptimizationConfig.model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from None
    kept: AgentConfig = config.model_copy(update={"optimization": search, "models": models})
    return replace(file, config=kept)


def winner(file: ConfigFile, house: Workshop, *, target: str | None = None, which: int | str = "active") -> Winner:
    """A version of a target's prompt; without a name that of the only target.

    Raises:
        NotFound: there is no such target, or nothing was trained for it.
    """
    model = _target(file, target)
    name = task_name(file, model)
    try:
        version = house.registry.get(name, which)
    except NotFound:
        if house.registry.versions(name):
            raise
        raise NotFound(
            f"nothing was trained for {model.name} yet", hint="`strop agents train` makes the first version"
        ) from None
    prompt = prompt_of(version.spec, house.registry.state(version), name=agent_name(file, model))
    return Winner(target=model, version=version, prompt=prompt)


def parity_of(file: ConfigFile, house: House, one: Winner, *, tolerance: float = TOLERANCE) -> Parity:
    """Whether the exported text scores as well as the program, on the dev examples of its run.

    Raises:
        DataError: the prepared examples are not there.
        RunStopped: the budget is used up, or the provider does not answer.
    """
    write_program_data(file)
    task = task_of(file, one.target)
    with in_words_of(file):
        plan = house.plan(task, file.directory)
    scope = f"run:{one.version.lineage.get('run')}"
    budget = f"{scope}/parity-{secrets.token_hex(4)}"
    limit = None if task.budget_usd is None else pico(task.budget_usd)
    house.gateway.budgets.open(budget, limit_pico=limit)
    trial = Trial(
        examples=plan.split.dev.examples, metric=plan.metric, gateway=house.gateway,
        account=Account(scope=scope, budget=budget), model=plan.models["task"], concurrency=task.concurrency,
    )  # fmt: skip
    state = house.registry.state(one.version)
    return check_parity(one.prompt, one.version.spec, state, trial, tolerance=tolerance)


def baseline_only(one: Winner) -> bool:
    """True for the program as it was before any search: nothing better was proven."""
    return one.version.origin == "baseline"


def _target(file: ConfigFile, name: str | None) -> AgentModel:
    targets = file.config.models.target
    if name is None and len(targets) == 1:
        return targets[0]
    found = [one for one in targets if name in {one.name, one.model, agent_name(file, one), task_name(file, one)}]
    if len(found) == 1:
        return found[0]
    known = ", ".join(one.name for one in targets)
    what = f"there is no target {name!r}" if name is not None else "there are several targets"
    raise NotFound(f"{what} in {Path(file.path).name}", hint=f"--target names one of: {known}")
