"""Parsing of a message from the command channel into one of a closed set of commands, or a rejection with a reason.

The message is a JSON object, or a string that holds one (docs/protocol.md, «Faye»). A Command's fields are checked:
a task_id that is safe as one segment of a URL path, URLs that are http(s), settings that are an object of bounded size.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from agent.core.job_name import job_name
from agent.core.settings import KNOWN

MAX_MESSAGE = 1 << 20  # bytes; a command is a few hundred
MAX_SETTINGS = 64 << 10  # characters as JSON
MAX_DEPTH = 32  # objects and lists within each other in settings: what one thread can write, each must be able to read
KEPT_SETTINGS = 2048  # characters as JSON of what is kept of settings; what comes later in the object is left out
MAX_NODES = 10_000  # values in a message that comes as text; a value takes up to 240 bytes
MAX_URL = 8192
MAX_JOB_ID = 256
MAX_CHOICE = 60  # characters of the text of a choice
MAX_CHOICES = 100

_TASK_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}\Z")


class Name(StrEnum):
    """The commands of docs/protocol.md's table."""

    PRINT_DATA = "print_data"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RESET = "reset"
    CALIBRATE = "calibrate"
    HOME = "home"
    PARK = "park"
    LOG = "log"
    LOGS = "logs"
    SETTINGS = "settings"
    REQUEST_SETTINGS = "request_settings"
    FIRMWARE_UPGRADE = "firmware_upgrade"
    DISMISS = "dismiss"
    COOL = "cool"
    RESPOND = "respond"


STOPS = frozenset({Name.PAUSE, Name.RESUME, Name.CANCEL, Name.RESET, Name.COOL, Name.RESPOND})
"""The commands by which a person or the cloud keeps control of the printer: never refused for load, begun before all
others."""

_URL_KEY = {
    Name.PRINT_DATA: "file_url",
    Name.FIRMWARE_UPGRADE: "package_url",
    Name.LOG: "upload_url",
    Name.LOGS: "upload_url",
}


class Command(msgspec.Struct, frozen=True, rename={"raw_name": "said"}):
    """One command. `name` is None for one that is not in the table; `raw_name` is the name as it came
    (`said` in the JSON that the ledger stores).

    `url` is `file_url`, `package_url` or `upload_url`, whichever the command has. `job_id` is empty where none was
    given. `spooled` is a file's name in the state folder for a print that began at the printer itself; nothing that
    comes from the network sets it. `sent_at` is when the server says that it sent it, in seconds since the epoch.
    `choice` answers what the printer asks, by number or text; `prompt_id` is the question that it is meant for.
    `age_on_receipt` is how many seconds before it was written down it was sent, by the server's time or as long as it
    waited for the disk; 0 where neither is known.
    `digest` is what the file must have, as `sha-256=` or `md5=` and hexadecimal digits; empty where none was given.
    """

    task_id: str
    name: Name | None
    raw_name: str
    job_id: str = ""
    job_name: str = ""
    url: str = ""
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    spooled: str = ""
    sent_at: float | None = None
    digest: str = ""
    choice: int | str | UnsetType = UNSET
    prompt_id: int | UnsetType = UNSET
    age_on_receipt: float = 0.0


def without_payload(command: Command) -> Command:
    """What is kept of a command that has ended: who asked for what, without address, settings and digest."""
    return Command(
        task_id=command.task_id, name=command.name, raw_name=command.raw_name[:100], job_id=command.job_id[:MAX_JOB_ID]
    )


class Rejection(msgspec.Struct, frozen=True):
    """A message that is not a command, with the reason. `task_id` is set where it could be read, so that the cloud can
    be told; `code` is the error_code for that (400 malformed, 422 a value that cannot be). `job_id` is as far as it can
    be read; of a print without one the task_id, as in a Command."""

    reason: str
    code: int = 400
    task_id: str = ""
    raw_name: str = ""
    job_id: str = ""


def parse(message: object) -> Command | Rejection:
    """Parse and check one message: bytes or a string of JSON, or the decoded object. Never raises."""
    try:
        fields = _decode(message)
    except ValueError as error:
        return Rejection(str(error))
    task_id = _first(fields, "task_id", "command_token")
    if not isinstance(task_id, str) or not _TASK_ID.match(task_id):
        what = "has no task_id" if task_id is None else "has a task_id that cannot be one"
        return Rejection(f"the command {what}")
    raw_name = fields.get("command")
    if not isinstance(raw_name, str) or not raw_name or len(raw_name) > 100 or not raw_name.isprintable():
        return Rejection("command: expected a name", task_id=task_id, job_id=_readable_job_id(fields))
    try:
        return _build(task_id, raw_name, fields)
    except ValueError as error:
        job_id = _readable_job_id(fields, task_id if raw_name == Name.PRINT_DATA else "")
        return Rejection(str(error), code=422, task_id=task_id, raw_name=raw_name, job_id=job_id)


def _decode(message: object) -> dict[str, Any]:
    for _ in range(2):  # a string in the message's data may hold the JSON of the object
        if isinstance(message, str | bytes):
            if len(message) > MAX_MESSAGE:
                raise ValueError(f"the message has {len(message)} bytes; {MAX_MESSAGE} is the limit")
            if count_values(message) > MAX_NODES:
                raise ValueError(f"the message has more than {MAX_NODES} values")
            message = _json(message)
    if not isinstance(message, dict):
        raise ValueError(f"expected a JSON object, got {type(message).__name__}")  # noqa: TRY004 one error for the caller
    return message


def count_values(text: str | bytes) -> int:
    """At least the number of values in a JSON text: brackets and commas, those within strings included."""
    if isinstance(text, bytes):
        return text.count(b",") + text.count(b"{") + text.count(b"[")
    return text.count(",") + text.count("{") + text.count("[")


def _json(text: str | bytes) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("not usable JSON: nested too deeply") from None


def _build(task_id: str, raw_name: str, fields: dict[str, Any]) -> Command:
    name = Name(raw_name) if raw_name in Name.__members__.values() else None
    url = ""
    if name in _URL_KEY:
        url = _url(_URL_KEY[name], fields.get(_URL_KEY[name]))
    return Command(
        task_id=task_id,
        name=name,
        raw_name=raw_name,
        job_id=_job_id(fields.get("job_id")),
        job_name=job_name(fields, _first(fields, "settings", "Settings"), url if name is Name.PRINT_DATA else ""),
        url=url,
        settings=_settings(_first(fields, "settings", "Settings")),
        sent_at=_time(_first(fields, "sent_at", "timestamp")),
        choice=choice_of(fields.get("choice")) if name is Name.RESPOND else UNSET,
        prompt_id=_prompt_id(fields.get("prompt_id")) if name is Name.RESPOND else UNSET,
        digest=_digest(fields, _URL_KEY.get(name, "").removesuffix("_url")) if name is not None else "",
    )


def _first(fields: dict[str, Any], *keys: str) -> object:
    """The value of the first key that has one; null is none."""
    return next((fields[key] for key in keys if fields.get(key) is not None), None)


def _url(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key}: expected a URL, got {_kind(value)}")
    if len(value) > MAX_URL or not value.isprintable() or " " in value:
        raise ValueError(f"{key}: not a usable URL")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # .port raises for a bad one
    except ValueError:
        raise ValueError(f"{key}: not a usable URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{key}: expected http:// or https://")
    return value


def _job_id(value: object) -> str:
    """An opaque string; the reference's own examples have a number too."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > MAX_JOB_ID or not value.isprintable():
        raise ValueError(f"job_id: expected a string of at most {MAX_JOB_ID} characters")
    return value


def _readable_job_id(fields: dict[str, Any], absent: str = "") -> str:
    """The job_id of a message that is refused; `absent` where it has none, empty where it has one that cannot be."""
    try:
        return _job_id(fields.get("job_id")) or absent
    except ValueError:
        return ""


def choice_of(value: object) -> int | str:
    """A choice: its number, or its text. Raises ValueError for what is neither."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_CHOICES:
        return value
    if isinstance(value, str) and 0 < len(value) <= MAX_CHOICE and value.isprintable():
        return value
    raise ValueError(f"choice: expected the number of a choice, or its text, of at most {MAX_CHOICE} characters")


def _prompt_id(value: object) -> int | UnsetType:
    """The `id` of `data.prompt`, which some servers hold as text."""
    if value is None:
        return UNSET
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 53:
        raise ValueError("prompt_id: expected the id of a prompt")
    return value


def _time(value: object) -> float | None:
    """Seconds or milliseconds since the epoch, or ISO 8601 (UTC where it does not say). What is no time is none: it
    must not cost a command."""
    if isinstance(value, str):
        try:
            date = datetime.fromisoformat(value)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e14:
        return None
    return value / 1000.0 if value > 1e11 else float(value)


def _digest(fields: dict[str, Any], what: str) -> str:
    """`file_sha256` or `file_md5` (`package_…` for an upgrade), in hexadecimal. One that cannot be is an error: a file
    that was to be checked must not be printed unchecked."""
    for key, name, digits in ((f"{what}_sha256", "sha-256", 64), (f"{what}_md5", "md5", 32)):
        value = fields.get(key)
        if value is None or not what:
            continue
        if not isinstance(value, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", value):
            raise ValueError(f"{key}: expected {digits} hexadecimal digits")
        return f"{name}={value.lower()}"
    return ""


def _settings(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):  # some publishers encode this too
        value = _json(value) if len(value) <= MAX_SETTINGS else None
    if isinstance(value, dict) and "Settings" in value:  # alone, or beside others
        inner, beside = value["Settings"], {name: each for name, each in value.items() if name != "Settings"}
        value = beside | inner if isinstance(inner, dict) else inner
    if not isinstance(value, dict):
        raise ValueError(f"settings: expected an object, got {_kind(value)}")  # noqa: TRY004 one error for the caller
    if any(not isinstance(key, str) for key in value):
        raise ValueError("settings: expected names as keys")
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ValueError("settings: not usable as JSON") from None
    if _deeper(value, MAX_DEPTH):
        raise ValueError(f"settings: nested too deeply; {MAX_DEPTH} is the limit")
    if size > MAX_SETTINGS:
        raise ValueError(f"settings: {size} characters; {MAX_SETTINGS} is the limit")
    return value if size <= KEPT_SETTINGS else _first_settings(value)


def _first_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """As many settings as fit into KEPT_SETTINGS characters, the known ones first."""
    kept: dict[str, Any] = {}
    room = KEPT_SETTINGS
    for name in sorted(settings, key=lambda name: name not in KNOWN):
        room -= len(msgspec.json.encode({name: settings[name]}))
        if room < 0:
            break
        kept[name] = settings[name]
    return kept


def _deeper(value: object, limit: int) -> bool:
    """Whether objects and lists are within each other more than `limit` times."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(value, dict | list) for value in level)


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
