"""`strop predict`: the active version at work."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from strop.cli.options import Database, Directory, Json, Name, Quiet, noun
from strop.errors import BadInput, RunFailed, StoreUnwritable

if TYPE_CHECKING:
    from strop.cli.predictions import Predictor

app = noun("Answer one input, or a JSONL file, with the active version.")
TELL_EVERY_S = 2.0


@app.command()
def predict(
    name: Name,
    fields: Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="One input.")] = None,
    *,
    input: Annotated[
        str | None, typer.Option("--input", "-i", metavar="FILE|-", help="JSONL, an input a line.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Number or label; default: the active one.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model than the version was made for.")] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="Most that this command may spend.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Most model calls in flight at once.")] = 16,
    replay: Annotated[bool, typer.Option("--replay", help="Answer from the ledger alone; make no call.")] = False,
    directory: Directory = Path(),
    database: Database = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Answer one input (FIELD=VALUE ...) or a JSONL file, in its order.

    Every call is recorded: the same command again pays only for what is new, so an interrupted file is finished by
    repeating the command. Lines without an answer are reported with their reason, and the exit code is 3.
    """
    from strop.cli.house import house_at
    from strop.cli.predictions import predictor
    from strop.cli.versions import which

    if (input is None) == (not fields):
        raise BadInput("give one input as FIELD=VALUE ..., or a file with --input")
    chosen = None if version is None else which(version)
    with (
        house_at(directory, database, replay=replay) as house,
        predictor(house, name, chosen, model=model, budget_usd=budget) as made,
    ):
        if input is None:
            _one(made, fields or [], as_json=as_json)
        else:
            _file(made, input, output, concurrency=concurrency, quiet=quiet)


def _one(made: Predictor, fields: Sequence[str], *, as_json: bool) -> None:
    from strop.cli.console import emit, show
    from strop.cli.predictions import Line

    given = made.checked(parsed(fields, made.inputs))
    line = next(iter(made.answers([Line(number=1, input=given)], 1)))
    if line.error is not None:
        raise RunFailed(line.error)
    about = {"name": made.version.name, "version": made.version.number, "model": made.model}
    if as_json:
        from strop.gateway import usd

        spent = made.account.counters.read()
        emit({**about, "output": dict(line.output), "usd": usd(spent.cost_pico), "replayed": spent.replayed > 0})
        return
    for key, value in line.output.items():
        show(str(value) if len(line.output) == 1 else f"{key}: {value}")


def parsed(fields: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """`FIELD=VALUE` words as a mapping. Raises BadInput for a word without `=`, and for an unknown field."""
    from difflib import get_close_matches

    given: dict[str, str] = {}
    for word in fields:
        key, equals, value = word.partition("=")
        if not equals:
            raise BadInput(f"{word!r} is not FIELD=VALUE", hint=f"fields: {', '.join(known)}")
        if key not in known:
            close = get_close_matches(key, known, n=1)
            raise BadInput(
                f"there is no input field {key!r}",
                hint=(f"did you mean {close[0]!r}? " if close else "") + f"fields: {', '.join(known)}",
            )
        given[key] = value
    return given


def _file(made: Predictor, source: str, output: Path | None, *, concurrency: int, quiet: bool) -> None:
    from strop.cli.console import tell
    from strop.cli.predictions import Line, read_rows

    failed: list[Line] = []
    done, told = 0, time.monotonic()
    with _reading(source) as lines, _writing(output, source) as target:
        for line in made.answers(read_rows(lines, lambda _row: None), concurrency):
            done += 1
            target.write(json.dumps(line.as_json(), ensure_ascii=False, default=str) + "\n")
            if line.error is not None:
                failed.append(line)
                tell(f"line {line.number}: {line.error}")
            if not quiet and time.monotonic() - told >= TELL_EVERY_S:
                told = time.monotonic()
                tell(_progress(made, done, len(failed)))
    if not quiet:
        tell(_progress(made, done, len(failed)))
    if failed:
        raise RunFailed(
            f"{len(failed)} of {done} lines got no answer, the first on line {failed[0].number}",
            hint="mend them and repeat the command; the other answers are in the ledger and cost nothing again",
        )


def _progress(made: Predictor, done: int, failed: int) -> str:
    from strop.gateway import show

    now = made.account.counters.read()
    missing = f", {failed} without an answer" if failed else ""
    return f"{done:,} lines{missing}; {now.bought:,} calls, {now.replayed:,} from the ledger, {show(now.cost_pico)}"


@contextlib.contextmanager
def _reading(source: str) -> Generator[Any]:
    if source == "-":
        yield sys.stdin
        return
    path = Path(source)
    if not path.is_file():
        raise BadInput(f"there is no input file {source!r}")
    with path.open(encoding="utf-8-sig") as file:
        yield file


@contextlib.contextmanager
def _writing(output: Path | None, source: str) -> Generator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    if source != "-" and output.exists() and output.samefile(source):
        raise BadInput(f"--output {str(output)!r} is the input file")
    try:
        with output.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise StoreUnwritable(f"{str(output)!r} cannot be written: {error.strerror}") from None
