"""What the user wants taken out of every log, kept from one import to the next.

A word that is given once would come back with the next import that reads the same session again: when it has grown, or
when `strop agents watch` or `prepare` looks. So the words are remembered: in a file of the user's own, never in a
project or its database.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from strop.errors import StoreUnwritable


def list_file(environment: Mapping[str, str] | None = None, home: Path | None = None) -> Path:
    """`strop/redact.txt` of the user's configuration: a word, or a regular expression between slashes, a line."""
    known = os.environ if environment is None else environment
    given = known.get("XDG_CONFIG_HOME", "").strip()
    return (Path(given) if given else (home or Path.home()) / ".config") / "strop" / "redact.txt"


def remembered(file: Path) -> tuple[str, ...]:
    """The words of the file; none where there is no file.

    Raises:
        StoreUnwritable: the file is there and cannot be read; importing without it would store what it lists.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreUnwritable(
            f"the list of words to take out, {file}, cannot be read", hint="make it a readable text file, or remove it"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def remember(file: Path, words: Iterable[str]) -> bool:
    """Add words to the file, which only its owner may read; False where it cannot be written."""
    known = remembered(file)
    new = [word.strip() for word in words if word.strip() and word.strip() not in known and "\n" not in word]
    if not new:
        return True
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write("".join(f"{word}\n" for word in (*known, *dict.fromkeys(new))))
        draft.replace(file)
    except OSError:
        return False
    return True
