"""The forms that secrets have: known kinds of keys, and values that a name calls secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from strop.agents.marks import places


class Span(NamedTuple):
    """A stretch of a text to be replaced."""

    start: int
    end: int


_KEY = r"(?=[A-Za-z_-]{0,200}\d)[A-Za-z0-9_-]"
_KEYS: tuple[tuple[str, str], ...] = (
    ("sk-", rf"{_KEY}{{16,}}"),
    ("sk_", r"(?:live|test)_[A-Za-z0-9]{10,}"),
    ("rk_", r"(?:live|test)_[A-Za-z0-9]{10,}"),
    ("whsec_", r"[A-Za-z0-9+/]{16,}"),
    ("AIza", r"[0-9A-Za-z_-]{30,}"),
    ("AKIA", r"[0-9A-Z]{12,}"),
    ("ASIA", r"[0-9A-Z]{16}"),
    *((f"gh{kind}_", r"[A-Za-z0-9]{20,}") for kind in "pousr"),
    ("github_pat_", r"[A-Za-z0-9_]{20,}"),
    ("glpat-", r"[A-Za-z0-9_-]{16,}"),
    ("xox", r"[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("xapp-", r"[A-Za-z0-9-]{10,}"),
    ("hooks.slack.com/services/", r"[A-Za-z0-9/]{16,}"),
    ("gsk_", r"[A-Za-z0-9]{20,}"),
    ("xai-", r"[A-Za-z0-9]{20,}"),
    ("hf_", r"[A-Za-z0-9]{20,}"),
    ("npm_", r"[A-Za-z0-9]{30,}"),
    ("pypi-", r"[A-Za-z0-9_-]{30,}"),
    ("SG.", r"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("ya29.", r"[A-Za-z0-9_-]{20,}"),
    ("dop_v1_", r"[a-f0-9]{40,}"),
    ("shpat_", r"[a-fA-F0-9]{20,}"),
    ("AGE-SECRET-KEY-", r"[A-Z0-9]{20,}"),
)
KEYS = tuple((prefix, re.compile(re.escape(prefix) + rest)) for prefix, rest in _KEYS)
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,8000}(?:\.[A-Za-z0-9_-]*)?")
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
URL_PASSWORD = re.compile(r"://([^/\s:@\"'\\]{0,200}:[^/\s@\"'\\]{1,200})@")
HOME_MARKS = ("/home/", "/users/")
HOME = re.compile(r"/(?:home|Users)/[^/\s\"'`:;,<>()\[\]{}|\\*?$&]+")
WINDOWS_HOME_MARKS = (":\\users", ":\\\\users", ":/users/")
_WINDOWS_HOME = re.compile(r"[A-Za-z]:(?:\\{1,4}|/)Users(?:\\{1,4}|/)[^\\/\s\"'`:;,<>|*?]+", re.IGNORECASE)
PROJECT_HOME_MARKS = ("-home-", "-users-")
_PROJECT_HOME = re.compile(r"-(?:home|Users)-[^-/\s\"']+")
_KEY_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=\\]*")


def key_tails(text: str) -> Iterator[Span]:
    """The rest of a private key whose beginning was cut off."""
    for match in _KEY_END.finditer(text):
        start = match.start()
        while True:
            line_start = text.rfind("\n", 0, max(0, start - 1)) + 1
            line = text[line_start:start].strip()
            if start - line_start > 200 or len(line) < 16 or not _KEY_LINE.fullmatch(line):
                break
            start = line_start
        if start < match.start():
            yield Span(start, match.end())


def windows_homes(text: str) -> Iterator[Span]:
    """`C:\\Users\\name`, also with doubled or forward slashes."""
    for start in places(text, WINDOWS_HOME_MARKS):
        match = _WINDOWS_HOME.match(text, max(0, start - 1))
        if match is not None:
            yield Span(*match.span())


def project_homes(text: str) -> Iterator[Span]:
    """`projects/-home-name-project`: Claude Code names a project's directory after its path."""
    for start in places(text, PROJECT_HOME_MARKS):
        match = _PROJECT_HOME.match(text, start)
        if match is not None and (start == 0 or text[start - 1] in "/\\"):
            yield Span(*match.span())


_LOCAL_PART = re.compile(r"[A-Za-z0-9._%+-]{1,64}\Z")
_DOMAIN = re.compile(r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])")
_NO_PERSON = frozenset({"git", "hg", "svn", "ssh", "user", "noreply", "no-reply"})
_NO_DOMAIN = re.compile(r"\.(?:py|js|ts|jsx|tsx|json|md|service|timer|socket|target|txt|png|svg|so|rs|go)\Z")


def addresses(text: str) -> Iterator[Span]:
    """E-mail addresses; `git@host` is nobody's."""
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at)
        if domain is not None:
            local = _LOCAL_PART.search(text[max(0, at - 64) : at])
            if local is not None and local.group().lower() not in _NO_PERSON and not _NO_DOMAIN.search(domain.group()):
                yield Span(at - len(local.group().lstrip(".-")), domain.end())
        at = text.find("@", at + 1)


HEADER_MARKS = ("bearer ", "authorization", "x-api-key", "x-auth-token", "cookie")
_HEADER = re.compile(
    r"(?:proxy-)?(?:authorization|x-api-key|x-auth-token)\\{0,8}[\"']?\s{0,3}[:=,]\s{0,3}\\{0,8}[\"']?"
    r"(?:(?:bearer|basic|token|digest|apikey|aws4-hmac-sha256)\s{1,3})?\\{0,8}[\"']?(?P<value>(?!(?:bearer|basic|digest)\b)[^\s\"'\\,;<>${}\[\]()]{6,})"
    r"|bearer\s{1,3}(?P<bearer>(?=[A-Za-z._~+/-]{0,200}\d)[A-Za-z0-9._~+/-]{12,}=*)"
    r"|(?:set-)?cookie\\{0,8}[\"']?\s{0,3}:\s{0,3}\\{0,8}[\"']?(?P<cookie>[\w.-]{1,60}=[^\r\n\"'\\]{6,})",
    re.IGNORECASE,
)


def headers(text: str) -> Iterator[Span]:
    """Values of Authorization, API key and cookie headers, and bearer tokens anywhere."""
    done = 0
    for start in places(text, HEADER_MARKS):
        match = _HEADER.match(text, start) if start >= done else None
        if match is not None and match.lastgroup is not None:
            done = match.end()
            yield Span(*match.span(match.lastgroup))


NAME_MARKS = ("passw", "passphrase", "pwd", "secret", "token", "key", "credential")
SIFTED_NAMES = (*NAME_MARKS[:5], "credential", *(f"{end}key" for end in "istehng_-?"))
"""The marks for a sieve: `key` with the end of a word before it, which may be a letter that the sieve sees as `?`."""
_BEFORE_KEY = re.compile(r"(?:api|access|account|private|auth|encryption|signing|secret)[_-]?\Z", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"(?P<name>(?:passw(?:or)?ds?|passphrase|pwd|secret|token|key|credentials?)(?P<more>[\w-]{0,40}))"
    r"(?:\\{0,8}[\"'`]\]?)?(?P<sep>\s{0,3}(?:=>|:=|={1,3}|:)\s{0,3}|\s{1,3}(?:is|to)\s{1,3}(?=\S{0,100}\d)|[ ])"
    r"(?:(?P<quote>\\{0,8}[\"'`])(?P<quoted>(?:(?!\\{0,8}[\"'`])[^\r\n]|\\[^\"'`\r\n]){1,400})|(?P<bare>[^\s\"'`,;&<>|\\]{1,400}))",
    re.IGNORECASE,
)
_CODE = re.compile(r"[A-Za-z_][\w]*(?:(?:\.|::|->)[A-Za-z_]\w*)*")
_TYPES = frozenset({
    "string", "str", "number", "boolean", "bool", "password", "none", "null", "true", "false", "required", "optional",
    "text", "secret", "token", "undefined", "any", "int", "integer", "object", "nil", "bearer", "bytes", "hidden",
})  # fmt: skip
_REFERENCE = re.compile(r"(?!\$(?:2[aby]|argon|[156])\$)[$%][\w{}().:-]*%?")
_PLAIN_NUMBER = re.compile(r"[\d.,_]+")


def assignments(text: str) -> Iterator[Span]:
    """Values given to names that speak of a secret: `password=...`, `"api_key": "..."`, `--token ...`."""
    for start in places(text, NAME_MARKS):
        if text[start] in "kK" and not _BEFORE_KEY.search(text[max(0, start - 12) : start]):
            continue
        match = _ASSIGNED.match(text, start)
        if match is not None and _secret(text, match):
            yield Span(*match.span("quoted" if match["quoted"] is not None else "bare"))


def _secret(text: str, match: re.Match[str]) -> bool:
    value: str = match["quoted"] or match["bare"]
    name: str = match["name"].lower()
    if value.lower() in _TYPES or value[0] in "[<*{(.…" or _REFERENCE.fullmatch(value):
        return False
    if match["sep"] == " ":
        return _after_option(text, match, value)
    if name.startswith(("passw", "pwd", "passphrase")):
        return _secret_password(match, value)
    if name.startswith("tokeni") or value.startswith(("/", "./", "~", "http://", "https://")) or " " in value.strip():
        return False
    if match["quoted"] is None and "(" in value:
        return False
    return (len(value) >= 8 and any(map(str.isdigit, value)) and not _PLAIN_NUMBER.fullmatch(value)) or _long_word(
        match
    )


def _secret_password(match: re.Match[str], value: str) -> bool:
    if match["quoted"] is not None:
        return len(value) >= 4
    shouted = match["name"].isupper() and match["sep"] == "="
    if "(" in value or "[" in value:
        return False
    return len(value) >= 4 and (shouted or _CODE.fullmatch(value) is None or any(map(str.isdigit, value)))


def _long_word(match: re.Match[str]) -> bool:
    """A long quoted value without digits: in two cases it is a key, in one it may be a sentence or a name."""
    value: str = match["quoted"] or ""
    return len(value) >= 16 and value.isalnum() and not value.islower() and not value.isupper()


def _after_option(text: str, match: re.Match[str], value: str) -> bool:
    """`--password VALUE`, and `password VALUE` of a .netrc line."""
    line = text[max(0, match.start() - 60) : match.start()].rsplit("\n", 1)[-1]
    option = re.search(r"(?:^|\s)--[\w-]*\Z", line) is not None
    netrc = "login " in line
    if not (option or netrc) or value.startswith("-"):
        return False
    return netrc or len(value) >= 6
