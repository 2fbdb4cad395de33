"""Options that several commands of `strop sessions` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Models = Annotated[
    str | None,
    typer.Option("--models", "-m", metavar="A,B", help="Default: gemini,claude with their keys, else small,large."),
]
Rounds = Annotated[int | None, typer.Option("--rounds", "-r", min=0, help="Most rounds of a model. Default: 5.")]
Budget = Annotated[
    float | None,
    typer.Option("--budget", "-b", metavar="USD", min=0, help="Most that all of it may cost. Default: 10."),
]
Samples = Annotated[
    int | None, typer.Option("--samples", "-s", min=1, help="Most sealed examples of the benchmark. Default: 50.")
]
Convergence = Annotated[
    float | None,
    typer.Option("--convergence", "-c", min=0, max=1, help="Score that is good enough. Default: 0.95."),
]
Prompt = Annotated[str | None, typer.Option("--prompt", "-p", help="Train on a prompt instead of a task.")]
Input = Annotated[str | None, typer.Option("--input", help="With --prompt: what the input is.")]
Expects = Annotated[str | None, typer.Option("--expects", help="With --prompt: what the output should be.")]
Rules = Annotated[
    list[str] | None, typer.Option("--constraint", metavar="RULE", help="As min_length:100, contains:X; repeatable.")
]
JudgeModel = Annotated[
    str | None, typer.Option("--judge", metavar="MODEL", help="Asked about each --constraint in plain words.")
]
SignatureFile = Annotated[
    Path | None, typer.Option("--signature", metavar="FILE", help="input, output, examples, ... as JSON or YAML.")
]
TaskFile = Annotated[
    Path | None, typer.Option("--task", metavar="FILE|DIR", help="A task with data and a metric. Default: DIR's.")
]
QualityFocused = Annotated[
    bool, typer.Option("--quality-focused", help="15 rounds to 0.98, 100 samples, temperature 0.3.")
]
CostOptimized = Annotated[bool, typer.Option("--cost-optimized", help="3 rounds, 2 baseline parts, 20 samples.")]
Algorithm = Annotated[str | None, typer.Option(help="How a round searches: auto, or any of `strop optimize`.")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id of a session, its beginning, or `last`.")]
Newest = Annotated[str, typer.Argument(metavar="[SESSION]", help="Id of a session, its beginning, or `last`.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="The report. Default: dspy-training-report.md in DIR."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="A line for every iteration.")]
Concurrency = Annotated[int | None, typer.Option(min=1, help="Most model calls in flight, all models together.")]
Timeout = Annotated[float | None, typer.Option(metavar="SECONDS", help="Time after which the session ends.")]
