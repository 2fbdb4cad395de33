"""Writes the session logs of `strop init --example opencode`; the same bytes every time.

    python scripts/make_sessions.py

The tasks and answers are written by hand in `example_texts/sessions.yaml`; what the tools said is made up to fit them.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TEXTS = YAML(typ="safe").load(Path(__file__).with_name("example_texts") / "sessions.yaml")
RAW = Path(__file__).resolve().parents[1] / "src" / "strop" / "examples" / "opencode" / "data" / "raw"
ROOT = "/srv/shop"
TURNS = 4
START = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
DETOURS = 0.12
"""Share of the sessions in which the agent looked around first."""


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def arguments(tool: str, on: str, flow: dict[str, Any], absolute: bool) -> dict[str, str]:
    path = f"{ROOT}/{on}" if absolute else on
    return {
        "read": {"filePath": path},
        "edit": {"filePath": path, "oldString": flow.get("old", ""), "newString": flow.get("new", "")},
        "write": {"filePath": path, "content": flow.get("content", "")},
        "bash": {"command": on, "description": f"Run {on}"},
        "grep": {"pattern": on, "path": "."},
        "list": {"path": on},
    }[tool]


RESULTS = {
    "read": "(file of 80 lines)", "edit": "Edit applied.", "write": "Wrote file.", "list": "cart.py\ncli.py\nmail.py",
    "grep": "shop/models.py:12", "pytest": "........ 8 passed in 0.41s", "uv lock": "Resolved 31 packages in 0.9s",
}  # fmt: skip


def steps(kind: str, works: bool, rng: random.Random, at: datetime) -> list[dict[str, Any]]:
    flow = TEXTS["workflows"][kind]
    plan = [tuple(one) for one in flow["plan"]]
    if not works:
        # What goes wrong in life: nothing is read first, or the tests fail and are not looked at.
        plan = [*plan[1:], *plan[1:]] if rng.random() < 0.5 else [*plan[1:], ("bash", "git stash")]
    elif kind != "dependencies" and rng.random() < DETOURS:
        plan = [rng.choice([("list", "shop"), ("grep", "TODO")]), *plan]
    absolute = rng.random() < 0.3
    made: list[dict[str, Any]] = []
    for number, (tool, on) in enumerate(plan, 1):
        failed = not works and tool in {"bash", "edit"}
        result = RESULTS.get(on, RESULTS.get(tool, "ok")) if not failed else "Error: exit status 1"
        made.append(
            {
                "step": number,
                "tool": tool,
                "callID": f"call_{rng.getrandbits(40):010x}",
                "args": arguments(tool, on, flow, absolute),
                "timestamp": stamp(at + timedelta(seconds=9 * number)),
                "result": result,
                "success": not failed,
            }
        )
    return made


def example(turn: tuple[str, str, str, bool], rng: random.Random, at: datetime) -> dict[str, Any]:
    kind, task, answer, works = turn
    actions = steps(kind, works, rng, at)
    own = TEXTS["workflows"][kind]["file"]
    others = rng.sample([name for name in TEXTS["files"] if name != own], 2)
    seen = [own, *others] if rng.random() < 0.5 else others
    seconds = 9 * len(actions) + rng.randrange(4, 30)
    return {
        "input": {
            "task": task,
            "context": {
                "workingDirectory": ROOT,
                "projectType": "python",
                "relevantFiles": seen,
                "gitStatus": {"branch": "main", "uncommittedChanges": rng.random() < 0.3},
                "fileCount": len(TEXTS["files"]),
            },
        },
        "actions": actions,
        "output": {"response": answer},
        "outcome": {
            "success": works,
            "taskCompleted": works,
            "metrics": {"toolCallCount": len(actions), "filesModified": int(works), "timeToCompletion": seconds},
            "evaluation": {"correctness": 1.0 if works else 0.3, "efficiency": round(min(1.0, 3 / len(actions)), 2)},
        },
        "agent": {"name": "build", "model": "example/scripted", "promptTokens": 2000, "completionTokens": 200},
        "metadata": {"timestamp": stamp(at), "duration": seconds, "messageCount": 2},
    }


def turns(rng: random.Random) -> list[tuple[str, str, str, bool]]:
    """Every task once, mixed, the failures spread among them."""
    found: list[tuple[str, str, str, bool]] = []
    for kind, flow in TEXTS["workflows"].items():
        for line in flow["tasks"]:
            task, _, answer = line.partition(" | ")
            found.append((kind, task, answer, True))
    found += [(kind, task, answer, False) for kind, task, answer in TEXTS["failures"]]
    rng.shuffle(found)
    return found


def main() -> None:
    rng = random.Random(7)
    RAW.mkdir(parents=True, exist_ok=True)
    for old in RAW.glob("session-*.json"):
        old.unlink()
    everything = turns(rng)
    for number, first in enumerate(range(0, len(everything), TURNS), 1):
        at = START + timedelta(hours=5 * number)
        examples = [
            example(turn, rng, at + timedelta(minutes=7 * place))
            for place, turn in enumerate(everything[first : first + TURNS])
        ]
        worked = sum(one["outcome"]["success"] for one in examples)
        log = {
            "session": f"ses_{number:03}",
            "generated": stamp(at + timedelta(hours=1)),
            "totalExamples": len(examples),
            "totalTurns": len(examples),
            "successfulTurns": worked,
            "overallSuccess": worked == len(examples),
            "totalToolCalls": sum(len(one["actions"]) for one in examples),
            "examples": examples,
        }
        text = json.dumps(log, indent=1, ensure_ascii=False) + "\n"
        (RAW / f"session-{number:03}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
