"""What `strop doctor` looks at."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from strop.cli.house import place_of
from strop.errors import StropError

KEYS = {
    "openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY", "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY", "together_ai": "TOGETHERAI_API_KEY", "openrouter": "OPENROUTER_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY", "xai": "XAI_API_KEY", "azure": "AZURE_API_KEY",
}  # fmt: skip
EXTRAS = {"postgres": "psycopg", "metrics": "sacrebleu"}
OLD_PRICES_DAYS = 180
LITTLE_DISK_MB = 200


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. `problem` must be mended, `note` is worth knowing."""

    level: Literal["ok", "note", "problem"]
    what: str
    told: str
    remedy: str | None = None


def checkup(directory: Path, database: str | None) -> list[Check]:
    """Everything, in the order in which it matters. Makes no network call and leaves no file behind."""
    return [
        *_programs(), *_task(directory), *_keys(directory), *_prices(directory), *_database(directory, database),
        *_disk(directory), _offline(), *_extras(),
    ]  # fmt: skip


def _programs() -> Iterator[Check]:
    found = [f"Python {platform.python_version()}"]
    for name in ("strop", "dspy", "litellm", "sqlalchemy"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Check(
                level="problem", what=name, told="is not installed", remedy="pip install --force-reinstall strop"
            )
    yield Check(level="ok", what="versions", told=", ".join(found))
    if not ((3, 11) <= sys.version_info[:2] < (3, 15)):
        yield Check(level="problem", what="python", told="is outside 3.11 to 3.14", remedy="use another Python")


def _task(directory: Path) -> Iterator[Check]:
    from strop.runs import load_task

    if not (directory / "strop.yaml").is_file():
        yield Check(level="note", what="task", told=f"no strop.yaml in {directory.resolve()}", remedy="strop init")
        return
    try:
        spec = load_task(directory).spec
    except StropError as error:
        yield Check(level="problem", what="task", told=error.message, remedy=error.hint)
        return
    yield Check(level="ok", what="task", told=f"{spec.task} on {spec.models.task.model}")


def _keys(directory: Path) -> Iterator[Check]:
    from strop.runs import load_task
    from strop.settings import load_env

    load_env(directory)
    there = [name for name in KEYS.values() if os.environ.get(name)]
    if there:
        yield Check(level="ok", what="keys", told=f"set: {', '.join(there)}")
    else:
        remedy = "put OPENAI_API_KEY=... or another into the environment or .env; embedded/* models need none"
        yield Check(level="note", what="keys", told="none is set", remedy=remedy)
    try:
        models = load_task(directory).spec.models
    except StropError:
        return
    for model in {one.model: one for one in (models.task, models.prompt, models.teacher) if one is not None}.values():
        name = model.api_key_env or (None if model.api_base else KEYS.get(model.provider))
        if name is not None and not os.environ.get(name):
            remedy = f"export {name}=... or put it into {directory / '.env'}"
            yield Check(level="problem", what="keys", told=f"{model.model} needs {name}", remedy=remedy)


def _prices(directory: Path) -> Iterator[Check]:
    from strop.gateway import PriceTable
    from strop.runs import load_task

    try:
        prices = PriceTable.load(directory / "prices.yaml")
    except StropError as error:
        yield Check(level="problem", what="prices", told=error.message, remedy="mend prices.yaml")
        return
    age = (datetime.now(UTC).date() - date.fromisoformat(prices.dated)).days
    old = age > OLD_PRICES_DAYS
    yield Check(
        level="note" if old else "ok", what="prices", told=f"{len(prices.names())} models, table of {prices.dated}",
        remedy="upgrade strop, or put today's prices into prices.yaml" if old else None,
    )  # fmt: skip
    try:
        models = load_task(directory).spec.models
        for model in (models.task, models.prompt, models.teacher):
            if model is not None:
                prices.price(model.model)
    except StropError as error:
        if (directory / "strop.yaml").is_file() and "price" in error.message:
            yield Check(level="problem", what="prices", told=error.message, remedy=error.hint)


def _database(directory: Path, database: str | None) -> Iterator[Check]:
    from strop.gateway import Redactor
    from strop.store import Store

    try:
        place = place_of(directory, database)
        shown = Redactor()(place.database)
        if "://" not in place.database and place.database != ":memory:" and not Path(place.database).exists():
            yield Check(level="ok", what="database", told=f"{shown} will be made by the first run")
            return
        with Store.open(place.database, wait_s=5) as store, store.read() as connection:
            revision = connection.exec_driver_sql("SELECT version_num FROM strop_version").scalar_one()
        yield Check(level="ok", what="database", told=f"{store.url} answers, schema {revision}")
    except StropError as error:
        yield Check(
            level="problem", what="database", told=error.message, remedy=error.hint or "name another: --database"
        )


def _disk(directory: Path) -> Iterator[Check]:
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".strop-"):
            free = shutil.disk_usage(directory).free // 1_000_000
    except OSError as error:
        told = f"{directory.resolve()} cannot be written: {error.strerror}"
        yield Check(level="problem", what="disk", told=told, remedy="choose another directory, or another --database")
        return
    level = "note" if free < LITTLE_DISK_MB else "ok"
    remedy = "make room; a run keeps every call" if free < LITTLE_DISK_MB else None
    yield Check(level=level, what="disk", told=f"{directory.resolve()} can be written, {free:,} MB free", remedy=remedy)


def _offline() -> Check:
    value = os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP")
    if value and value.lower() not in {"true", "1"}:
        told = f"LITELLM_LOCAL_MODEL_COST_MAP={value!r} lets litellm fetch a price map that Strop does not use"
        return Check(level="note", what="offline", told=told, remedy="unset LITELLM_LOCAL_MODEL_COST_MAP")
    told = "nothing is fetched but what your models are asked (LITELLM_LOCAL_MODEL_COST_MAP is on)"
    return Check(level="ok", what="offline", told=told)


def _extras() -> Iterator[Check]:
    for extra, module in EXTRAS.items():
        if find_spec(module) is not None:
            yield Check(level="ok", what=f"extra [{extra}]", told="installed")
        else:
            yield Check(
                level="note", what=f"extra [{extra}]", told="not installed", remedy=f"pip install 'strop[{extra}]'"
            )
