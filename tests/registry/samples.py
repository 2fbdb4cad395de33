"""Programs that differ in one number, a registry to keep them in, and how to tamper with it."""

from typing import Any

import dspy
from sqlalchemy import update

from strop import programs
from strop.programs import ProgramSpec
from strop.registry import Registry, Version
from strop.registry.tables import versions
from strop.store import Store, metadata

SPEC = ProgramSpec(signature="text -> label: Literal['ham', 'spam']", strategy="cot")


def make_tables(store: Store) -> None:
    with store.write() as connection:
        metadata.create_all(connection)


def program(number: int, spec: ProgramSpec = SPEC) -> dspy.Module:
    made = programs.build(spec)
    for _, predictor in made.named_predictors():
        predictor.signature = predictor.signature.with_instructions(f"Rule {number}: sort the mail.")
        predictor.demos = [dspy.Example(text=f"mail {number}", label="ham").with_inputs("text")]
    return made


def register(registry: Registry, number: int, name: str = "mail", **more: Any) -> Version:
    return registry.register(name, spec=SPEC, program=program(number), **more)


def tamper(store: Store, version: Version, **columns: Any) -> None:
    with store.write() as connection:
        connection.execute(update(versions).where(versions.c.id == version.id).values(**columns))


class Touch:
    """Unpickling this creates a file, which is how a test knows that something was unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))
