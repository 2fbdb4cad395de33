"""What all models of a session work on: the program to begin with, the three sets of examples, the metric.

It is made either from a real task (data and a metric) or from a prompt and a signature, as the guide does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from strop.datasets import Dataset, Example, Split, split
from strop.errors import BadInput
from strop.gateway import PriceTable
from strop.metrics import CustomMetric, Metric
from strop.programs import ProgramSpec
from strop.runs import TaskSpec, TypicalCall, load_task, make_plan
from strop.sessions.config import Signature, TrainingConfig
from strop.sessions.constraints import parse
from strop.sessions.judging import Judge
from strop.sessions.quality import QualityMetric

SIGNATURE = "input -> output"
EXAMPLES_TO_SPLIT = 12
"""Fewer examples than this are shown to the models and not used to measure them: too few to hold any back."""
DEV_SAMPLES = 12
SHORTEST_KEY = 8
"""A key of fewer characters is looked for nowhere: it would be found in any text."""
SHOWN = 24
"""Examples in the prompt of a program that its rounds have improved, as a rule."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """`sampled` says that the dev and test examples are one input asked again and again (samples of one prompt).

    `description` is what a later process needs to make the problem again: a task with its directory, or prompt and
    signature; None for examples that were given in memory. `judge` answers for the `judged` constraints; None where
    there are none.
    """

    name: str
    program: ProgramSpec
    split: Split
    metric: Metric
    own_metric: bool
    sampled: bool = False
    directory: Path | None = None
    description: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    judge: Judge | None = None
    judged: tuple[str, ...] = ()

    @cached_property
    def typical(self) -> TypicalCall:
        """What a task call asks and answers, as a rule."""
        train, dev = self.split.train.examples, self.split.dev.examples
        return TypicalCall(self.program, train, dev, demos=SHOWN, sampled=self.sampled)

    @property
    def subject(self) -> str:
        """The text that every output should be about, where it is the same for all."""
        return (self.program.instructions or "") if self.sampled else ""


def from_task(
    task: TaskSpec | str | Path,
    *,
    directory: Path | None = None,
    data: Split | Dataset | None = None,
    metric: Metric | None = None,
    custom_metrics: Sequence[CustomMetric] = (),
) -> Problem:
    """The problem of a task file, or of a TaskSpec with its directory. `data` replaces the task's files.

    Raises:
        BadInput: something in the task or its data cannot be used.
    """
    if not isinstance(task, TaskSpec):
        file = load_task(task)
        task, directory = file.spec, file.directory
    place = directory or Path.cwd()
    # The session has models, an algorithm and a budget of its own; the plan is asked for data and metric.
    plain = task.changed(models="embedded/small", algorithm="labeledfewshot", budget_usd=None)
    plan = make_plan(plain, place, prices=PriceTable(), data=data, metric=metric, custom_metrics=custom_metrics)
    if plan.refused:
        raise BadInput("the data cannot be used: " + "; ".join(finding.message for finding in plan.refused))
    if not len(plan.split.dev):
        raise BadInput("a session compares models on dev examples, and there are none", hint="add examples")
    known = None if data is not None else {"task": task.model_dump(mode="json", exclude_unset=True)}
    return Problem(
        name=task.task,
        program=plan.program,
        split=plan.split,
        metric=plan.metric,
        own_metric=True,
        directory=place,
        description=known,
        notes=tuple(finding.message for finding in plan.findings),
    )


def from_prompt(prompt: str, signature: Signature, config: TrainingConfig, *, metric: Metric | None = None) -> Problem:
    """The problem of a prompt and a signature.

    With a dozen examples or more they are split into train, dev and sealed test. With fewer, all of them may be shown
    to the models, and what is measured are samples of the prompt itself, by `metric` or by the quality of the outputs.

    Raises:
        BadInput: no prompt, or a model's key stands in it.
        SettingsError: a constraint that is not understood.
    """
    if not prompt.strip():
        raise BadInput("the prompt is empty", hint="session.run('Write a product description ...', signature)")
    _without_keys(prompt, signature, config)
    judge = None if config.judge_model is None else Judge(config.judge_model)
    constraints = parse(signature.constraints, judge=judge)
    # A metric of the caller's own decides alone: then the rules are only told to the models.
    judged = tuple(rule.text for rule in constraints if rule.judged) if metric is None else ()
    examples = tuple(
        Example(id=f"example-{n}", inputs={"input": one.input}, labels={"output": one.output})
        for n, one in enumerate(signature.examples, 1)
    )
    if len(examples) >= EXAMPLES_TO_SPLIT:
        cut = split(Dataset(examples=examples, name=signature.name), seed=config.seed)
    else:
        cut = Split(
            train=Dataset(examples=examples, name=f"{signature.name}/train"),
            dev=_samples(signature, "dev", DEV_SAMPLES),
            test=_samples(signature, "test", config.benchmark_samples),
            seed=config.seed,
        )
    return Problem(
        name=signature.name,
        program=ProgramSpec(signature=SIGNATURE, instructions=_instructions(prompt, signature)),
        split=cut,
        metric=metric
        or QualityMetric(
            constraints, prompt=_instructions(prompt, signature), judge=judge.config.full_name if judge else None
        ),
        own_metric=metric is not None,
        sampled=len(examples) < EXAMPLES_TO_SPLIT,
        description={"prompt": prompt, "signature": signature.model_dump(mode="json")} if metric is None else None,
        judge=judge if judged else None,
        judged=judged,
    )


def _without_keys(prompt: str, signature: Signature, config: TrainingConfig) -> None:
    """Raises BadInput when a key of the config stands in what the models would be sent and the database would keep."""
    shown = [part for one in signature.examples for part in (one.input, one.output)]
    texts = [prompt, signature.name, signature.input, signature.output, *signature.constraints, *signature.objectives]
    models = [(f"the model {name!r}", one) for name, one in zip(config.names, config.models, strict=True)]
    for whose, one in (*models, ("the prompt model", config.prompt_model), ("the judge", config.judge_model)):
        key = one.api_key.get_secret_value() if one is not None and one.api_key is not None else ""
        if len(key) >= SHORTEST_KEY and any(key in text for text in (*texts, *shown)):
            raise BadInput(
                f"the API key of {whose} stands in the prompt or its signature",
                hint="take it out: prompts are sent to every model and kept in the database",
            )


def _samples(signature: Signature, part: str, n: int) -> Dataset:
    """The same input again and again: each is asked as a new sample."""
    examples = (
        Example(id=f"{part}-{k:03d}", inputs={"input": signature.input}, labels={"output": ""}) for k in range(1, n + 1)
    )
    return Dataset(examples=tuple(examples), name=f"{signature.name}/{part}")


def _instructions(prompt: str, signature: Signature) -> str:
    """The prompt, what the output should be, and every rule in words: a model must be told what it is measured by."""
    lines = [prompt.strip(), f"The input is: {signature.input}. The output is: {signature.output}."]
    lines += [f"Rule: {_in_words(text)}." for text in signature.constraints]
    lines += [f"Aim: {text}." for text in signature.objectives]
    return "\n".join(lines)


def _in_words(constraint: str) -> str:
    kind, _, value = constraint.partition(":")
    words = {
        "contains": f"the output must contain {value.strip()!r}",
        "min_length": f"the output must have at least {value.strip()} characters",
        "max_length": f"the output must have at most {value.strip()} characters",
        "regex": f"the output must match the regular expression {value}",
        "one_of": f"the output must be exactly one of: {value.replace('|', ', ')}",
        "json_schema": f"the output must be JSON of the schema {value}",
    }
    return words.get(kind.strip().lower(), constraint)
