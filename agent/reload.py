"""What of a changed configuration a running agent can take: the log level and the scripts. Pure."""

from __future__ import annotations

import msgspec

from agent.config import Config


def changed(old: Config, new: Config) -> list[str]:
    """The keys that differ, as `section.key`, in the order of the file."""
    return [
        f"{section}.{key}"
        for section in old.__struct_fields__
        for key in getattr(old, section).__struct_fields__
        if getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
    ]


def is_live(key: str) -> bool:
    """Whether a running agent can take another value of it."""
    return key == "logs.level" or key.startswith("scripts.")


def merged(old: Config, new: Config) -> Config:
    """`old` with what of `new` can be taken."""
    logs = msgspec.structs.replace(old.logs, level=new.logs.level)
    return msgspec.structs.replace(old, logs=logs, scripts=new.scripts)
