"""DSPy programs that we can name, fingerprint, save, load and run on a given model."""

from strop.programs.rendering import Rendered, rendered
from strop.programs.running import running_on
from strop.programs.spec import STRATEGIES, ProgramSpec, Strategy, build, fields, resolve, signature_of
from strop.programs.state import Prompt, dump, fingerprint, prompt_text, prompts, restore

__all__ = [
    "STRATEGIES",
    "ProgramSpec",
    "Prompt",
    "Rendered",
    "Strategy",
    "build",
    "dump",
    "fields",
    "fingerprint",
    "prompt_text",
    "prompts",
    "rendered",
    "resolve",
    "restore",
    "running_on",
    "signature_of",
]
