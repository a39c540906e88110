"""Sentences of what the member's API answers, for a person: what it means, and what to do (docs/protocol.md, «The
member's side»)."""

from __future__ import annotations

import msgspec

from agent.core.printable import printable
from agent.errors import AgentError, CloudError, RejectedError, TokenError

REASON_LIMIT = 200  # characters of the server's own words
SENTENCES = {
    400: "the server cannot read the request",
    401: "the server does not take the member's token: it is wrong, or it has expired",
    403: "the member may not do this, or something on the way refuses it",
    404: "the server has no such call: check [member] server and api_base",
    422: "the server refuses a value of the request, such as limit or offset",
    429: "too many requests",
    500: "an error in the server: try again later",
}
_KEYS = ("message", "error_message", "error_description", "detail", "error", "title")


def error_of(call: str, status: int, content: bytes, *, wait_s: float | None, secret: str) -> AgentError:
    """The error of an answer that is not 200. `secret` is taken out of the server's words.

    TokenError (401, 403), RejectedError (the server will never take it), CloudError (later, or a redirect)."""
    words = _words(content).replace(secret, "…")[:REASON_LIMIT]
    said = f"{call}: {_sentence(status)} ({status}{', it says: ' + words if words else ''})"
    if status == 429 or (wait_s is not None and status >= 500):
        said += f"; try again {_when(wait_s)}"
    if status in (401, 403):
        return TokenError(said, status=status)
    if 400 <= status < 500 and status not in (408, 425, 429):
        return RejectedError(said, status=status, answer=words)
    return CloudError(said, status=status, retry_after=wait_s)


def _sentence(status: int) -> str:
    if status in SENTENCES:
        return SENTENCES[status]
    if 200 <= status < 300:
        return "the answer has no content that could be shown"
    if 300 <= status < 400:
        return "the server is at another address, and redirects are not followed: check [member] server"
    return "the server refuses the request" if status < 500 else "the server does not work now: try again later"


def _when(wait_s: float | None) -> str:
    return "later" if wait_s is None else f"in {max(1, round(wait_s))} s"


def _words(content: bytes) -> str:
    """What the server says in its own words: a text of its JSON, or the text itself unless it is a page of HTML."""
    text = content.decode("utf-8", "replace").strip()
    try:
        value: object = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "" if text.startswith(("<", "{", "[")) else printable(text)
    for _ in range(3):
        if not isinstance(value, dict):
            break
        value = next((value[key] for key in _KEYS if value.get(key)), None)
    return printable(value.strip()) if isinstance(value, str) else ""
