"""Where an exported prompt came from, in plain words for its side file."""

from __future__ import annotations

from importlib.metadata import version as package_version
from typing import Any

from strop.registry import Version


def provenance_of(version: Version) -> dict[str, Any]:
    """Run, version, hashes, scores and models of a kept program. No paths, no keys, nothing of the data itself."""
    lineage = version.lineage
    known = ("algorithm", "seed", "models", "data_fingerprint", "prices_date", "parent")
    return {
        "program": version.name,
        "version": version.number,
        "label": version.label,
        "fingerprint": version.fingerprint,
        "run": lineage.get("run") or lineage.get("run_id"),
        "scores": dict(version.metrics),
        "created_at": version.created_at.isoformat(),
        "made_with": {"strop": package_version("strop"), "dspy": package_version("dspy")},
        **{key: lineage[key] for key in known if key in lineage},
    }
