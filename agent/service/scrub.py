"""Removal of what nobody else may read from texts that leave the printer: tokens, registration codes, passwords, and
the user names, passwords and queries of URLs.

What is known to be secret is looked for as it is; the rest is known by its form, so more is removed than need be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.service.logs import redact

REMOVED = "[removed]"
SHORTEST = 4
"""Characters of a known secret that is looked for as it is: a shorter one would be found everywhere."""

_USER = re.compile(r"://[^\s/\"'<>]*@")
_QUERY = re.compile(r"(?<=[\w/.-])[?#][^\s\"'<>\\]+")
_NAMED = re.compile(
    r"(?i)(passw(?:or)?d|passphrase|secret|api_?key|credentials?|token)([\"']?[ \t]{0,4}[:=][ \t]{0,4})"
    r"(\"[^\"\n]{0,4096}\"?|'[^'\n]{0,4096}'?|[^\s,}\"']+)"
)
_NETWORK = re.compile(r"(?i)\b(M5(?:51|8[789]))\b[^\n]*")
"""Commands that carry the password of a network or of the printer itself."""
_CODE = re.compile(r"\"(code|url)\": ?\"[^\"\n]*\"")
"""Of an event about the registration: what adds the printer to a portal, whoever reads it."""


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Remove the known `secrets` from a text, and what has the form of one. Linear in the text."""
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = text.replace(secret, REMOVED)
    text = _USER.sub("://", redact(text))
    text = _QUERY.sub(f"?{REMOVED}", text)
    text = _NAMED.sub(_unnamed, text)
    text = _NETWORK.sub(rf"\1 {REMOVED}", text)
    return _CODE.sub(rf'"\1":"{REMOVED}"', text) if "registration" in text else text


def _unnamed(match: re.Match[str]) -> str:
    quote = match[3][0] if match[3][0] in "\"'" else ""
    return f"{match[1]}{match[2]}{quote}{REMOVED}{quote}"
