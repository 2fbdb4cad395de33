"""Versions of a program, the active one, the way back."""

from strop.registry.difference import Difference, PromptChange
from strop.registry.files import Exported, LoadedProgram
from strop.registry.registry import Registry
from strop.registry.version import Activation, Version, Which

__all__ = [
    "Activation",
    "Difference",
    "Exported",
    "LoadedProgram",
    "PromptChange",
    "Registry",
    "Version",
    "Which",
]
