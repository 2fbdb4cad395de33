"""Trains the prompt of each target on the prepared examples: one run, one verdict and one prompt file a target."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from strop.agents.config import AgentModel, ConfigFile, in_words_of
from strop.agents.program import INSTRUCTIONS, PARTS, SIGNATURE, Part, Rows, program_rows, write_rows
from strop.agents.provenance import provenance_of
from strop.agents.runlog import RunLog
from strop.datasets import too_few
from strop.errors import DataError, SettingsError
from strop.events import Bus
from strop.exporters import export, prompt_of, write
from strop.gateway import Redactor
from strop.registry import Registry
from strop.runs import Journal, Plan, RunResult, TaskSpec

NO_SPLIT = "Failed to create train/validation split"


class Workshop(Protocol):
    """What training needs of the house."""

    bus: Bus
    journal: Journal
    registry: Registry
    redact: Redactor

    def plan(self, task: TaskSpec, directory: Path) -> Plan: ...


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One target's run and what it left on disk. `prompt` is None when no version came of it."""

    target: str
    agent: str
    task: str
    run: RunResult
    log: Path
    candidates: Path | None
    prompt: Path | None


def train(
    file: ConfigFile,
    house: Workshop,
    carry_out: Callable[[Plan], RunResult],
    tell: Callable[[str], None] = lambda _line: None,
) -> list[Trained]:
    """Run the search of every target; `tell` hears what it is about to do.

    A target whose run fails does not stop the others: its `run` has the error. A cancelled run ends the training.

    Raises:
        DataError: there are no prepared examples, or too few for a split.
        SettingsError: a model's key is not in the environment.
        BadInput: the plan cannot be carried out.
    """
    need_keys(file)
    notes = write_program_data(file)
    for note in notes:
        tell(note)
    done: list[Trained] = []
    for target in file.config.models.target:
        task = task_of(file, target)
        tell(f"Training {target.name} with {task.algorithm.name}: versions are kept as {task.task!r}")
        with RunLog(file.resolve(file.config.outputs.logs_dir), task.task, house.redact) as log:
            trained = _train_one(file, target, task, house, carry_out=carry_out, log=log)
        done.append(trained)
        if trained.run.status == "cancelled":
            break
    return done


def task_of(file: ConfigFile, target: AgentModel) -> TaskSpec:
    """The task that a run of `target` carries out; `write_program_data` writes the files that it names."""
    config = file.config
    search, teacher = config.optimization, config.models.teacher
    given, _ = search.algorithm
    folder = Path(os.path.relpath(_program_data(file), file.directory))
    models: dict[str, Any] = {"task": target.spec}
    if teacher is not None:
        models |= {"prompt": teacher.spec, "teacher": teacher.spec}
    return TaskSpec.model_validate(
        {
            "task": task_name(file, target),
            "signature": SIGNATURE,
            "instructions": search.instructions or INSTRUCTIONS,
            "strategy": search.strategy,
            "data": {part: str(folder / f"{part}.jsonl") for part in PARTS},
            "metric": search.metric or {"name": "coding_agent", "weights": dict(search.metric_weights)},
            "models": models,
            "algorithm": {"name": search.optimizer, **given},
            "budget_usd": search.budget_usd,
            "timeout_s": search.timeout_s,
            "concurrency": search.concurrency,
            "seed": config.data.random_seed,
        },
        strict=False,
    )


def task_name(file: ConfigFile, target: AgentModel) -> str:
    """The name under which versions of a target's prompt are kept."""
    return f"{file.config.name}-{_plain(target.name)}"[:100]


def agent_name(file: ConfigFile, target: AgentModel) -> str:
    """`<model>-optimized`, with the provider where two targets have one model name."""
    models = [one.model for one in file.config.models.target]
    name = target.name if models.count(target.model) > 1 else target.model
    return f"{_plain(name)}-optimized"


def write_program_data(file: ConfigFile) -> list[str]:
    """Write the prepared splits as rows of the program; returns what there is to tell about them.

    Raises:
        DataError: the splits are not there, or one of them has nothing to learn from.
    """
    notes: list[str] = []
    counts: dict[str, int] = {}
    negatives = left_out = 0
    for part in PARTS:
        rows = _rows(file, part)
        counts[part] = len(rows.rows)
        negatives += rows.negatives
        left_out += rows.left_out
        write_rows(rows, _program_data(file))
    empty = [part for part, count in counts.items() if not count]
    if empty:
        raise DataError(
            f"{NO_SPLIT}: there is no example that succeeded for {' and '.join(empty)}",
            hint="add more successful session logs, or change train_split and val_split in config.yaml",
        )
    notes.append(f"Examples: {counts['train']} train, {counts['dev']} dev, {counts['test']} sealed test")
    if negatives:
        notes.append(f"{negatives} dev examples failed: they are negatives, plans to avoid and never to learn from")
    if left_out:
        notes.append(f"{left_out} examples are not used: they failed, their outcome is not known, or they say nothing")
    _, unused = file.config.optimization.algorithm
    if unused:
        notes.append(f"{file.config.optimization.optimizer} has no use for {', '.join(unused)}")
    return notes


def shortage(file: ConfigFile) -> str | None:
    """Why the algorithm will refuse the prepared splits, in the words of its own refusal; None when they are enough."""
    train, dev = (len(_rows(file, part).rows) for part in ("train", "dev"))
    lacking = [one for one in too_few(file.config.optimization.optimizer, train, train + dev) if one.level == "error"]
    return f"`strop agents train` would refuse: {lacking[0].message}" if lacking else None


def _rows(file: ConfigFile, part: Part) -> Rows:
    source = file.resolve(file.config.data.splits_dir) / f"{part}.jsonl"
    if not source.is_file():
        raise DataError(
            f"{NO_SPLIT}: there is no {str(source)!r}", hint="`strop agents prepare` writes it from the sessions"
        )
    return program_rows(part, source, with_negatives=file.config.optimization.metric is None)


def need_keys(file: ConfigFile) -> None:
    """Refuse to begin without a key that config.yaml names: half a run would be paid for first.

    Raises:
        SettingsError: names the model and the variable.
    """
    models = file.config.models
    for model in [*models.target, *([] if models.teacher is None else [models.teacher])]:
        if model.api_key_env is not None and not os.environ.get(model.api_key_env):
            raise SettingsError(
                f"the key of {model.name} is missing: the environment variable {model.api_key_env} is not set",
                hint=f"put it into .env beside {file.path.name} (cp .env.example .env), and check that api_key_env "
                "names the right variable",
            )


def next_steps(done: Trained, directory: Path, start: Path | None = None) -> list[str]:
    """What the document tells to do with a prompt, as it is typed in `start` (unset: in the project's `directory`)."""
    start = start or directory
    if done.prompt is None:
        return [f"There is no prompt for {done.target}: see {_near(done.log, start)}"]
    agent = done.prompt.stem
    where = "" if start == directory else f" -C {_near(directory, start)}"
    return [
        f"1. Review the prompt: cat {_near(done.prompt, start)}",
        f"2. Install it:        strop agents install{where} --target {done.target}    (undo: strop agents uninstall)",
        f"3. Try it:            opencode --agent {agent}",
    ]


def _train_one(
    file: ConfigFile,
    target: AgentModel,
    task: TaskSpec,
    house: Workshop,
    *,
    carry_out: Callable[[Plan], RunResult],
    log: RunLog,
) -> Trained:
    outputs = file.config.outputs
    leave = house.bus.listen(log.hear)
    try:
        with in_words_of(file):
            plan = house.plan(task, file.directory)
        for finding in plan.findings:
            log.say(f"{finding.level}: {finding.message} ({finding.remedy})")
        run = carry_out(plan)
    except BaseException as error:
        log.say(f"broken off: {type(error).__name__}: {error}")
        raise
    finally:
        leave()
    candidates = None
    if outputs.save_intermediate:
        candidates = keep_candidates(house, run, file.resolve(outputs.candidates_dir) / task.task)
    prompt = None
    if run.version is not None:
        saved = prompt_of(run.version.spec, house.registry.state(run.version), name=agent_name(file, target))
        prompt, _ = write(export(saved), file.resolve(outputs.prompts_dir), provenance_of(run.version))
    for line in (f"status: {run.status}, verdict: {run.verdict}", f"prompt: {prompt}", _error(run)):
        if line:
            log.say(line)
    return Trained(
        target=target.name, agent=agent_name(file, target), task=task.task, run=run, log=log.path,
        candidates=candidates, prompt=prompt,
    )  # fmt: skip


def keep_candidates(house: Workshop, run: RunResult, directory: Path) -> Path:
    """Every candidate of a run as a JSON file: where it came from, its scores, its instructions and examples."""
    folder = directory / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    told = {one["number"]: one for one in run.data.get("candidates", [])}
    for row in house.journal.candidates(run.run_id):
        shown = {
            **told.get(row["number"], {"number": row["number"], "origin": row["origin"], "score": row["score"]}),
            "fingerprint": row["fingerprint"],
            "program": row["state"],
        }
        text = json.dumps(_clean(shown, house.redact), indent=2, ensure_ascii=False, default=str)
        (folder / f"{row['number']:03}.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _clean(value: Any, redact: Redactor) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(key): _clean(item, redact) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_clean(item, redact) for item in cast("list[Any]", value)]
    return value


def _error(run: RunResult) -> str:
    return "" if run.error is None else f"error: {run.error.message}"


def _program_data(file: ConfigFile) -> Path:
    return file.resolve(file.config.data.processed_dir) / "program"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")


def _near(path: Path, directory: Path) -> str:
    return os.path.relpath(path, directory) if path.is_relative_to(directory) else str(path)
