"""From what people write to a metric: names, mappings, functions; and a metric's fingerprint."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from strop.errors import MetricError
from strop.metrics.bleu import Bleu, BleuSettings, Chrf, ChrfSettings
from strop.metrics.coding_agent import CodingAgent, CodingAgentSettings
from strop.metrics.composite import Composite, CompositeSettings, Guardrail, Part
from strop.metrics.custom import CustomMetric, FunctionMetric, FunctionSettings, from_settings
from strop.metrics.f1 import F1Settings, f1
from strop.metrics.function import load_object
from strop.metrics.labels import MetricSettings
from strop.metrics.limits import Cost, CostSettings, Latency, LatencySettings
from strop.metrics.match import Accuracy, AccuracySettings, ExactMatch, ExactMatchSettings
from strop.metrics.metric import Metric
from strop.metrics.names import ALIASES, spelled
from strop.metrics.ranking import AveragePrecision, Ndcg, NdcgSettings, RankingSettings
from strop.metrics.rouge import Rouge, RougeSettings

MetricSpec = str | Mapping[str, Any] | CustomMetric | Metric | Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A built-in metric: what can be set, and who makes it from the settings."""

    settings: type[MetricSettings]
    make: Callable[[Any], Metric]


CATALOGUE: Mapping[str, Entry] = {
    "accuracy": Entry(settings=AccuracySettings, make=Accuracy),
    "bleu": Entry(settings=BleuSettings, make=Bleu),
    "chrf": Entry(settings=ChrfSettings, make=Chrf),
    "coding_agent": Entry(settings=CodingAgentSettings, make=CodingAgent),
    "cost": Entry(settings=CostSettings, make=Cost),
    "exact_match": Entry(settings=ExactMatchSettings, make=ExactMatch),
    "f1": Entry(settings=F1Settings, make=f1),
    "latency": Entry(settings=LatencySettings, make=Latency),
    "map": Entry(settings=RankingSettings, make=AveragePrecision),
    "ndcg": Entry(settings=NdcgSettings, make=Ndcg),
    "rouge": Entry(settings=RougeSettings, make=Rouge),
}
"""Every built-in metric by its name; `composite` and custom metrics come on top."""

S = TypeVar("S", bound=BaseModel)


def build(spec: MetricSpec, *, custom: Sequence[CustomMetric] = (), root: Path | None = None) -> Metric:
    """The metric that `spec` describes.

    `spec`: a name or alias in any case; `module:function`, looked for in `root` first; a mapping of `name` and the
    metric's settings; a mapping of `parts` and `guardrails` (a composite); any of the former mappings with
    `guardrails`; a CustomMetric, a function, or a metric that is one already. Names of `custom` come first.
    Raises MetricError with the nearest right name, MissingExtra when a metric's package is not installed.
    """
    if isinstance(spec, str):
        return _named(spec, {}, custom, root)
    if isinstance(spec, Mapping):
        return _mapped(spec, custom, root)
    if isinstance(spec, CustomMetric):
        return FunctionMetric(spec, guess=True)
    return _from_object(spec, getattr(spec, "__name__", type(spec).__name__), {})


def _mapped(spec: Mapping[str, Any], custom: Sequence[CustomMetric], root: Path | None) -> Metric:
    settings = dict(spec)
    name = settings.pop("name", None)
    if "parts" in settings or name == "composite":
        if name not in (None, "composite"):
            raise MetricError(f"metric {name!r} has no parts; leave out its name to make a composite")
        return _composite(_settings("composite", CompositeSettings, settings), custom, root)
    if not isinstance(name, str):
        raise MetricError(
            f"a metric written as a mapping needs a name, got {spec!r}", hint="{name: f1, average: macro}"
        )
    guardrails = settings.pop("guardrails", None)
    if guardrails is None:
        return _named(name, settings, custom, root)
    part = {"metric": {"name": name, **settings}}
    checked = _settings("composite", CompositeSettings, {"parts": [part], "guardrails": guardrails})
    return _composite(checked, custom, root)


def _composite(settings: CompositeSettings, custom: Sequence[CustomMetric], root: Path | None) -> Composite:
    return Composite(
        [Part(metric=build(p.metric, custom=custom, root=root), weight=p.weight) for p in settings.parts],
        [Guardrail(metric=build(g.metric, custom=custom, root=root), at_least=g.at_least) for g in settings.guardrails],
    )


def _named(name: str, settings: dict[str, Any], custom: Sequence[CustomMetric], root: Path | None) -> Metric:
    own = _own(name, custom)
    if own is not None:
        only = _settings(own.name, _OwnSettings, settings)
        return FunctionMetric(own, field=only.field, guess=True)
    if ":" in name:
        return _from_object(load_object(name, root=root), name, settings)
    known = spelled(name)
    implied: dict[str, Any] = {}
    if known not in CATALOGUE and known in ALIASES:
        known, implied = ALIASES[known][0], dict(ALIASES[known][1])
    if known not in CATALOGUE:
        raise _unknown(name, custom)
    entry = CATALOGUE[known]
    return entry.make(_settings(known, entry.settings, implied | settings))


class _OwnSettings(MetricSettings):
    """What can still be set on a CustomMetric where it is asked for by name."""

    field: str | None = None
    """The one label field to compare."""


def _own(name: str, custom: Sequence[CustomMetric]) -> CustomMetric | None:
    by_name = {metric.name: metric for metric in custom}
    if len(by_name) < len(custom):
        raise MetricError(f"two custom metrics have the same name: {sorted(metric.name for metric in custom)}")
    return by_name.get(name) or next((metric for metric in custom if spelled(metric.name) == spelled(name)), None)


def _from_object(found: Any, name: str, settings: dict[str, Any]) -> Metric:
    """A loaded object as a metric: a CustomMetric and a ready metric as they are, a function with `settings`."""
    if isinstance(found, CustomMetric):
        return FunctionMetric(found, field=_settings(name, _OwnSettings, settings).field, guess=True)
    if not isinstance(found, type) and isinstance(found, Metric):
        if settings:
            raise MetricError(f"metric {name!r} is ready made and takes no settings, got {sorted(settings)}")
        return found
    if isinstance(found, type) or not callable(found):
        raise MetricError(f"metric {name!r} is a {type(found).__name__}, not a function")
    return from_settings(name, found, _settings(name, FunctionSettings, settings))


def _unknown(name: str, custom: Sequence[CustomMetric]) -> MetricError:
    if spelled(name) == "custom":
        return MetricError(
            "metric 'custom' says only that it is yours",
            hint="name it: module:function, or the name of a CustomMetric in custom_metrics",
        )
    names = [*CATALOGUE, *ALIASES, "composite", *(metric.name for metric in custom)]
    near = difflib.get_close_matches(spelled(name), names, n=1)
    known = ", ".join([*CATALOGUE, *(metric.name for metric in custom)])
    return MetricError(
        f"there is no metric {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"known are {known}, and module:function",
    )


def _settings(name: str, kind: type[S], given: Mapping[str, Any]) -> S:
    """`given` as settings; the MetricError names the setting, the value and the nearest right key."""
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where, kind.model_fields, n=1)
            known = ", ".join(kind.model_fields) or "no settings"
            hint = f"did you mean {near[0]!r}?" if near else f"it knows {known}"
            raise MetricError(f"metric {name!r} has no setting {where!r}", hint=hint) from None
        if first["type"] == "missing":
            doc = kind.model_fields[where].description if where in kind.model_fields else None
            raise MetricError(f"metric {name!r} needs the setting {where!r}", hint=doc) from None
        raise MetricError(f"metric {name!r}: {where}: {first['msg']}, got {first['input']!r}") from None


def fingerprint(metric: Metric) -> str:
    """16 hex digits that stay the same as long as the metric gives the same scores.

    Made of name and settings, of the source of a custom function, and of sacrebleu's version where it is used.
    """
    text = json.dumps(_identity(metric), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _identity(metric: Metric) -> Any:
    if isinstance(metric, Composite):
        return {
            "name": metric.name,
            "parts": [[_identity(part.metric), part.weight] for part in metric.parts],
            "guardrails": [[_identity(rail.metric), rail.at_least] for rail in metric.guardrails],
        }
    own = getattr(metric, "identity", None)
    if callable(own):
        return own()
    kind = type(metric)
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        source = ""
    return {"name": metric.name, "kind": f"{kind.__module__}.{kind.__qualname__}", "source": source}
