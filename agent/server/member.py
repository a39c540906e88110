"""Client of the member's API: lists the printers that a member has added (docs/protocol.md, «The member's side»)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import requests
import urllib3

from agent.core.printable import printable
from agent.errors import ConfigError, DataError, RejectedError, TokenError, UnavailableError
from agent.http.client import HttpClient
from agent.http.errors import describe
from agent.http.session import HttpSession, NoAuth, read_body
from agent.service.config import Config, need_server

PAGE_LIMIT = 1000  # pages followed at most
CREDENTIAL = "member_token"  # systemd's name of it
ANSWER_LIMIT = 16 << 20  # bytes of a page
EXCERPT_LIMIT = 1200  # bytes of another answer
CALL_LIMIT = 120.0  # seconds in all


def token(config: Config, environ: Mapping[str, str]) -> str:
    """Read the member's bearer token: a systemd credential, `[member] token_file`, or PRINTER_AGENT_MEMBER_TOKEN.

    Raises ConfigError when there is none.
    """
    places = []
    if config.member.token_file:
        places.append(Path(config.member.token_file).expanduser())
    if environ.get("CREDENTIALS_DIRECTORY"):
        places.append(Path(environ["CREDENTIALS_DIRECTORY"]) / CREDENTIAL)
    for place in places:
        try:
            text = place.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{place}: the member's token cannot be read: {type(error).__name__}") from None
        if not text and place.name == CREDENTIAL:
            continue  # the unit's empty placeholder
        return _check_token(text, str(place))
    if environ.get("PRINTER_AGENT_MEMBER_TOKEN"):
        return _check_token(environ["PRINTER_AGENT_MEMBER_TOKEN"].strip(), "PRINTER_AGENT_MEMBER_TOKEN")
    raise ConfigError("no member token: set [member] token_file, PRINTER_AGENT_MEMBER_TOKEN or a systemd credential")


def _check_token(text: str, where: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{where}: not a usable token")
    return text


def base(config: Config) -> str:
    """Base URL of the member's API: `[member]`, where that is empty `[cloud]`; without a trailing slash."""
    server = config.member.server.rstrip("/") or need_server(config)
    return f"{server}{(config.member.api_base or config.cloud.api_base).rstrip('/')}"


def pages(
    config: Config, bearer: str, http: HttpClient, *, limit: int, offset: int, every: bool
) -> Iterator[dict[str, Any]]:
    """Pages of printers, as the server sends them; with `every`, `_link_next` is followed to the end.

    Raises UnavailableError, TokenError, RejectedError, DataError (an answer that cannot be used).
    """
    with http.calls() as session:
        session.headers["Authorization"] = f"Bearer {bearer}"
        path = f"/print/printers?limit={limit}&offset={offset}"
        for _ in range(PAGE_LIMIT):
            page = _get(session, config, path)
            yield page
            path = page.get("_link_next") or ""
            if not every or not path:
                return
            if not isinstance(path, str) or not path.startswith("/print/"):
                raise DataError("GET printers: _link_next is not a path under /print")


def _get(session: HttpSession, config: Config, path: str) -> dict[str, Any]:
    limits = (config.cloud.connect_timeout_s, config.cloud.read_timeout_s)
    try:
        with session.send(
            "GET", base(config) + path, headers={}, auth=NoAuth(), timeouts=limits, total=CALL_LIMIT
        ) as answer:
            content = read_body(answer, ANSWER_LIMIT if answer.status_code == 200 else EXCERPT_LIMIT)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"GET printers: {base(config)} did not answer: {describe(error)}") from None
    if answer.status_code in (401, 403):
        raise TokenError(f"GET printers: {answer.status_code}, the server does not take the member's token")
    if 400 <= answer.status_code < 500 and answer.status_code not in (408, 425, 429):
        excerpt = content.decode("utf-8", "replace")[:300]
        raise RejectedError(f"GET printers: {answer.status_code} {excerpt}", status=answer.status_code, answer=excerpt)
    if answer.status_code != 200:
        raise UnavailableError(f"GET printers: the server answered {answer.status_code}")
    try:
        page = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DataError(f"GET printers: the answer is not as expected: {error}") from None
    if not isinstance(page.get("printers"), list):
        raise DataError("GET printers: the answer has no list of printers")
    return page


def table(printers: list[dict[str, Any]]) -> str:
    """Format printers as a table, a line each."""
    keys = ("printer_id", "printer_name", "printer_last_health", "firmware", "is_primary")
    rows = [["ID", "NAME", "LAST HEALTH", "FIRMWARE", "PRIMARY"]]
    rows += [[printable(str(printer.get(key, ""))) for key in keys] for printer in printers]
    widths = [max(len(row[column]) for row in rows) for column in range(len(keys))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
