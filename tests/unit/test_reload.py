"""What of a changed configuration a running agent takes."""

from __future__ import annotations

import msgspec

from agent.config import Config
from agent.config import Job as JobSection
from agent.config import Logs as LogsSection
from agent.config import Scripts as ScriptsSection
from agent.reload import changed, is_live, merged

OLD = Config()
NEW = Config(
    job=JobSection(max_file_mb=7),
    logs=LogsSection(level="debug", format="json"),
    scripts=ScriptsSection(pause=("M117 x",), home=()),
)


def test_what_differs_is_named_as_in_the_file() -> None:
    assert changed(OLD, NEW) == ["job.max_file_mb", "scripts.pause", "scripts.home", "logs.level", "logs.format"]
    assert changed(NEW, NEW) == []


def test_scripts_and_level_are_taken_and_nothing_else() -> None:
    taken = merged(OLD, NEW)
    assert (taken.scripts, taken.logs.level) == (NEW.scripts, "debug")
    assert [key for key in changed(OLD, NEW) if is_live(key)] == changed(OLD, taken)
    assert changed(taken, NEW) == ["job.max_file_mb", "logs.format"]


def test_every_key_of_the_file_is_looked_at() -> None:
    """A section that is added later is compared too."""
    for section in OLD.__struct_fields__:
        for key in getattr(OLD, section).__struct_fields__:
            other = msgspec.structs.replace(getattr(OLD, section), **{key: object()})
            assert changed(OLD, msgspec.structs.replace(OLD, **{section: other})) == [f"{section}.{key}"]
