"""`strop schema`: what may stand in strop.yaml."""

from __future__ import annotations

import sys

from strop.cli.options import noun

app = noun("Print the JSON Schema of strop.yaml for editors.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of strop.yaml; `strop init` writes it beside the task file."""
    from importlib.resources import files

    sys.stdout.write(files("strop").joinpath("runs", "strop.schema.json").read_text("utf-8"))
