"""The JSON Schema of strop.yaml, for editors; `strop.schema.json` beside this file is the published copy."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue

from strop.runs.task import TaskSpec

SCHEMA_FILE = Path(__file__).with_name("strop.schema.json")


def json_schema() -> dict[str, JsonValue]:
    """The schema, draft 2020-12. What depends on several keys (`file` or `train`) is checked on reading."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TaskSpec.model_json_schema(),
        "title": "strop.yaml",
    }


def schema_text() -> str:
    """The schema as the text of its file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
