"""Name of a print job, for people: from the command that submits it, in each form that servers use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

MAX_NAME = 200  # characters of a job's name
_KEYS = ("job_name", "JobName")


def job_name(fields: Mapping[str, Any], settings: object, url: str) -> str:
    """The name from a command's fields: `job_name`, the original portal's `JobName`, which may be among the settings
    (an object, the nested form, or the string that holds one), or the last part of the file's address; empty without
    one that can be shown."""
    if isinstance(settings, str):
        settings = _decode(settings)
    places = [fields, settings, settings.get("Settings") if isinstance(settings, dict) else None]
    given = [place.get(key) for place in places if isinstance(place, Mapping) for key in _KEYS]
    return next(filter(None, map(_shown, given)), "") or _shown(unquote(urlsplit(url).path.rpartition("/")[2]))


def _shown(value: object) -> str:
    return value[:MAX_NAME] if isinstance(value, str) and value.isprintable() else ""


def _decode(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
