"""Programs at work: loaded by name, asked with plain values, saved under a version of the user's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strop.errors import BadInput, NotFound, RunFailed, RunStopped, StropError
from strop.evaluation import answer_of
from strop.gateway import Account, Gateway, Ledger, ModelSettings, usd
from strop.programs import ProgramSpec, fields, running_on
from strop.registry import Registry, Version
from strop.runs.asked import field_name, task_name
from strop.runs.guide import OptimizationAnalytics
from strop.store import Store

if TYPE_CHECKING:
    import dspy

FILES = {".json", ".pkl", ".pickle"}


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A program ready to answer. `metadata` is what was given when it was saved."""

    name: str
    version: str
    spec: ProgramSpec
    program: dspy.Module
    model: ModelSettings
    gateway: Gateway
    metrics: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def predict(self, input_data: Mapping[str, Any]) -> Any:
        """The answer: the value of a single output field, else a dict of them. Other keys of `input_data` are ignored.

        Raises:
            BadInput: an input field is missing.
            StropError: there is no answer.
        """
        inputs, outputs = fields(self.spec)
        given = {field_name(str(key)): value for key, value in input_data.items()}
        missing = [name for name in inputs if name not in given]
        if missing:
            raise BadInput(
                f"{self.name} needs the input {missing[0]!r}, got {', '.join(map(repr, input_data)) or 'nothing'}",
                hint=f"its inputs are {', '.join(inputs)}",
            )
        account = Account(scope=f"predict:{self.name}")
        lm = self.gateway.lm(self.model, account, phase="predict", role="task")
        try:
            with running_on(lm):
                answer = answer_of(self.program(**{name: given[name] for name in inputs}))
        except RunStopped as stop:
            raise cause_of(account, stop) from None
        except StropError:
            raise
        except Exception as error:
            raise RunFailed(f"{self.name} gave no answer: {type(error).__name__}: {error}") from error
        return answer[outputs[0]] if len(outputs) == 1 else {name: answer[name] for name in outputs}


def cause_of(account: Account, stop: RunStopped) -> StropError:
    """The error behind a stop."""
    cause = account.switch.cause
    return cause if isinstance(cause, StropError) else RunFailed(f"{stop.cause}: {stop.detail}")


def find(registry: Registry, model_id: str, version: str | int | None = None) -> Version:
    """`name@2`, or `name` with a saved version, a label, a number, or the active version.

    Raises:
        NotFound: there is none.
    """
    name, at, number = model_id.rpartition("@")
    if version is None and at and number.isdigit():
        return registry.get(name, int(number))
    name = task_name(model_id)
    if version is None:
        return registry.get(name)
    if isinstance(version, int) or version.isdigit():
        return registry.get(name, int(version))
    try:
        return registry.get(_saved_name(name, version), 1)
    except NotFound:
        return registry.get(name, version)


def load(
    gateway: Gateway, registry: Registry, name: str, version: str | int | None, *, models: Mapping[str, ModelSettings]
) -> LoadedModel:
    """What `find` finds, or the program in a file, on the model that it was made for.

    `models` knows the settings of models by the version that was made for them; else the version's own are used.
    """
    if version is None and Path(name).suffix.lower() in FILES:
        found = registry.load_file(name)
        program = found.program()
    else:
        found = find(registry, name, version)
        program = registry.program(found)
    made = str(found.lineage.get("saved_from") or f"{found.name}@{found.number}")
    recorded = found.lineage.get("models", {}).get("task")
    if made not in models and recorded is None:
        raise BadInput(f"{made} does not say which model it was made for")
    return LoadedModel(
        name=made.partition("@")[0],
        version=found.label,
        spec=found.spec,
        program=program,
        model=models.get(made)
        or ModelSettings.model_validate(found.lineage.get("model_settings") or {"model": str(recorded)}),
        gateway=gateway,
        metrics=found.metrics,
        metadata=json.loads(found.notes) if found.notes.startswith("{") else {},
    )


def save(
    store: Store,
    registry: Registry,
    model_id: str,
    *,
    path: str | Path | None,
    version: str | None,
    metadata: Mapping[str, Any] | None,
) -> str | None:
    """Keep a version under a label of the user's own, write it to a file, or both; returns a notice for the user.

    A saved version is kept as `name==label`: labels of `name` itself number what runs find, and one program may be
    saved under several. Raises BadInput when the label is another program already.
    """
    found = find(registry, model_id)
    if version is not None or metadata is not None or path is None:
        label = version or found.label
        notes = json.dumps(dict(metadata or {}), default=str, sort_keys=True)
        lineage = {
            **found.lineage, "parent": found.number, "parent_name": found.name,
            "saved_from": f"{found.name}@{found.number}",
        }  # fmt: skip
        state, name = registry.state(found), _saved_name(found.name, label)
        with store.write() as connection:
            kept = registry.register(
                name, spec=found.spec, state=state, metrics=found.metrics, lineage=lineage, label=label, notes=notes,
                origin="saved", connection=connection,
            )  # fmt: skip
            if metadata is not None and kept.notes != notes:
                raise BadInput(
                    f"version {label!r} of {found.name!r} was saved before, with other metadata",
                    hint="save under a new version",
                )
        found = kept
    return None if path is None else registry.export(found.name, found.number, path).notice


def analytics(ledger: Ledger, optimization_id: str, *, costs: bool = True) -> OptimizationAnalytics:
    """What the calls of an optimisation cost and how long those of its task model took."""
    from strop.stats import percentile

    total, calls = 0, 0
    samples: list[tuple[int, float]] = []
    for row in ledger.every_row(f"run:{optimization_id}"):
        if row["source"] not in {"paid", "embedded"}:
            continue
        calls += 1
        total += row["cost_pico"] or 0
        if row["role"] == "task" and row["status"] == "ok":
            samples.append((row["cost_pico"] or 0, (row["finished_us"] - row["started_us"]) / 1000))
    spent, latencies = [cost for cost, _ in samples], [latency for _, latency in samples]
    return OptimizationAnalytics(
        optimization_id=optimization_id,
        total_cost_usd=usd(total) if costs else None,
        cost_per_sample=usd(sum(spent)) / len(spent) if spent and costs else None,
        latency_p50_ms=percentile(latencies, 50) if latencies else None,
        latency_p95_ms=percentile(latencies, 95) if latencies else None,
        calls=calls,
    )


def _saved_name(name: str, label: str) -> str:
    return f"{name}=={label}"
