"""Writes answers in the layout that the prompt asks for."""

import json
from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from strop.embedded.fields import Task
from strop.embedded.skill import Value


def render(task: Task, values: Mapping[str, Value]) -> str:
    """The whole reply; `values` holds every output field, in the order to write them."""
    match task.layout:
        case "json":
            return json.dumps(dict(values), indent=2, ensure_ascii=False)
        case "xml":
            return "\n\n".join(_element(name, value) for name, value in values.items())
        case "chat":
            parts = [f"[[ ## {name} ## ]]\n{_shown(value)}" for name, value in values.items()]
            return "\n\n".join((*parts, "[[ ## completed ## ]]"))
        case "markdown":
            return "\n\n".join(_part(name, _shown(value)) for name, value in values.items())
        case "plain":
            return "\n".join(_shown(value) for value in values.values())


def _part(name: str, text: str) -> str:
    gap = "\n\n" if "\n" in text else " "
    return f"**{name[:1].upper()}{name[1:].replace('_', ' ')}:**{gap}{text}"


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _element(name: str, value: Value, key: str | None = None) -> str:
    start = f"{name} key={quoteattr(key)}" if key is not None else name
    if isinstance(value, list):
        inner = "".join(_element("item", one) for one in value)
    elif isinstance(value, dict):
        inner = "".join(
            _element(member, one) if member.isidentifier() else _element("entry", one, member)
            for member, one in value.items()
        )
    elif value is None:
        inner = ""
    else:
        shown = _shown(value).replace("&", "&amp;").replace("<", "&lt;")
        inner = f"\n{shown}\n" if key is None and name != "item" else shown
    return f"<{start}>{inner}</{name}>"
