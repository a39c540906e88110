"""Client of the member's API: lists the printers that a member has added (docs/protocol.md, «The member's side»)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from agent.core.answer import http_date, retry_after
from agent.errors import ConfigError, UnavailableError
from agent.http.describe_error import describe
from agent.http.http_client import HttpClient
from agent.http.http_session import HttpSession, NoAuth, read_body
from agent.server.member_errors import error_of
from agent.service.config import Config, need_server

CALL = "GET printers"
PAGE_LIMIT = 1000  # pages followed at most
CREDENTIAL = "member_token"  # systemd's name of it
ANSWER_LIMIT = 16 << 20  # bytes of a page
EXCERPT_LIMIT = 4096  # bytes of another answer
LINK_LIMIT = 2000  # characters of `_link_next`
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
    """Pages of printers, as the server sends them, each with a list `printers`; with `every`, `_link_next` is followed
    to the end.

    Raises UnavailableError (CloudError with a status), TokenError, RejectedError.
    """
    with http.calls() as session:
        session.headers["Authorization"] = f"Bearer {bearer}"
        path, asked = f"/print/printers?limit={limit}&offset={offset}", set[str]()
        for _ in range(PAGE_LIMIT):
            page = _get(session, config, path, bearer)
            yield page
            if not every:
                return
            asked.add(path)
            path = _next_path(page.get("_link_next"), base(config))
            if not path:
                return
            if path in asked:
                raise UnavailableError(f"{CALL}: _link_next leads back to a page that was read already")
        raise UnavailableError(f"{CALL}: more than {PAGE_LIMIT} pages")


def _next_path(link: object, root: str) -> str:
    """The path of the next page below `root`, empty when there is none. A link may have the base's path or its whole
    address in it. Raises UnavailableError for one that leads elsewhere: the token goes to no other place."""
    if link is None or link == "":
        return ""
    if isinstance(link, str) and len(link) <= LINK_LIMIT and link.isascii() and link.isprintable() and " " not in link:
        path = link
        for start in (root, urlsplit(root).path):
            if start and path.startswith(f"{start}/"):
                path = path.removeprefix(start)
                break
        # Compared as it will be asked for: no step up, no other call.
        if urlsplit(path).path == "/print/printers" and path.startswith("/print/printers") and "#" not in path:
            return path
    raise UnavailableError(f"{CALL}: _link_next is not a path under /print/printers of {root}")


def _get(session: HttpSession, config: Config, path: str, bearer: str) -> dict[str, Any]:
    limits = (config.cloud.connect_timeout_s, config.cloud.read_timeout_s)
    try:
        with session.send(
            "GET", base(config) + path, headers={}, auth=NoAuth(), timeouts=limits, total=CALL_LIMIT
        ) as answer:
            content = read_body(answer, ANSWER_LIMIT if answer.status_code == 200 else EXCERPT_LIMIT)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"{CALL}: {base(config)} did not answer: {describe(error)}") from None
    if answer.status_code != 200:
        date = http_date(answer.headers.get("Date"))
        wait_s = retry_after(answer.headers.get("Retry-After"), time.time() if date is None else date)
        raise error_of(CALL, answer.status_code, content, wait_s=wait_s, secret=bearer)
    try:
        page = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnavailableError(f"{CALL}: the answer is not as expected: {error}") from None
    if not isinstance(page.get("printers"), list):
        raise UnavailableError(f"{CALL}: the answer has no list of printers")
    return page
