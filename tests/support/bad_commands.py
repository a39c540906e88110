"""Commands that cannot be done, each with the error code that docs/protocol.md «Error codes» has for it."""

from __future__ import annotations

from typing import Any, NamedTuple

FILE = "http://127.0.0.1:9/a.gcode"
PACKAGE = "http://127.0.0.1:9/package.bin"


class Bad(NamedTuple):
    """A command, the `error_code` of its terminal report, and words of the `error_message`. It gets its task_id when
    it is sent."""

    code: int
    text: str
    fields: dict[str, Any]


def _print(code: int, text: str, **fields: Any) -> Bad:
    return Bad(code, text, {"command": "print_data", "job_id": "job", "file_url": FILE, **fields})


def _bad(code: int, text: str, command: Any, **fields: Any) -> Bad:
    return Bad(code, text, {"command": command, **fields})


NO_URLS: tuple[Any, ...] = (
    *(None, "", 5, {}, "a.gcode", "//h/a", "ftp://h/a", "file:///etc/passwd", "https:///a"),
    *("http://[::1", "http://h:x/", "http://h/\n", "http://h/" + "a" * 8192),
)
NO_JOB_IDS: tuple[Any, ...] = ([], True, "a\nb", "a" * 257)
NO_SETTINGS: tuple[Any, ...] = (5, "[]", [], {"a": "x" * 70_000})
NO_SPEEDS: tuple[Any, ...] = (0, 9000, "150\nM112", [])
NO_DIGESTS: tuple[Any, ...] = ("x", "a" * 63, "g" * 64, 5)
NO_CHOICES: tuple[Any, ...] = (None, -1, "", "a" * 61, [], True)
NO_PROMPTS: tuple[Any, ...] = (0, True, "x", 1 << 53)
NO_NAMES: tuple[Any, ...] = (None, "", 7, {}, "a\n", "a" * 101)
UNKNOWN = ("make_coffee", "PRINT_DATA", "print data", "pause ", "M112", "../reset", "home;reset", "__init__", "drücken")
JOB_IDS: tuple[Any, ...] = ("other", "121333sdsd", 123, "local_6ace3ef1", "a b/../c", "a" * 256, "Ω")

IDLE: tuple[Bad, ...] = (
    *(_bad(400, "command: expected a name", name, job_id="job") for name in NO_NAMES),
    *(_bad(404, "unknown command", name) for name in UNKNOWN),
    *(_print(422, "file_url", file_url=url) for url in NO_URLS),
    *(_print(422, "job_id", job_id=job_id) for job_id in NO_JOB_IDS),
    *(_print(422, "settings", settings=settings) for settings in NO_SETTINGS),
    *(_print(422, "speed_percent", settings={"speed_percent": speed}) for speed in NO_SPEEDS),
    _print(422, "flow_percent", settings={"Settings": {"flow_percent": 9000}}),
    *(_print(422, "file_sha256", file_sha256=digest) for digest in NO_DIGESTS),
    _print(422, "file_md5", file_md5="a" * 31),
    *(_print(410, "too old", sent_at=when) for when in (1000.0, 1_000_000_000_000, "2001-01-01")),
    _bad(410, "too old", "home", timestamp="2001-01-01T00:00:00+01:00"),
    *(_bad(422, "upload_url", name, upload_url=url) for name in ("log", "logs") for url in ("", "ftp://h/a")),
    _bad(422, "package_url", "firmware_upgrade"),
    _bad(422, "package_url", "firmware_upgrade", package_url="file:///a"),
    _bad(422, "package_sha256", "firmware_upgrade", package_url=PACKAGE, package_sha256="x"),
    _bad(501, "not configured", "firmware_upgrade", package_url=PACKAGE),
    _bad(422, "settings", "settings"),
    _bad(422, "speed_percent", "settings", settings={"speed_percent": 9000}),
    *(_bad(422, "choice", "respond", choice=choice) for choice in NO_CHOICES),
    *(_bad(422, "prompt_id", "respond", choice=0, prompt_id=prompt) for prompt in NO_PROMPTS),
    *(_bad(409, "respond", "respond", choice=choice) for choice in (0, 99, "yes")),
    *(_bad(409, "respond", "respond", choice=0, prompt_id=prompt) for prompt in (1, "7")),
    *(_bad(409, "no job is running", "respond", choice=0, job_id=job_id) for job_id in JOB_IDS[:2]),
    *(_bad(409, "no job is running", name) for name in ("pause", "resume", "cancel")),
    *(_bad(409, "no job is running", name, job_id=one) for name in ("pause", "resume", "cancel") for one in JOB_IDS),
)
"""For a printer that does nothing, all at once."""

PRINTING: tuple[Bad, ...] = (
    _print(409, "busy"),
    _print(409, "busy", job_id=""),
    *(_bad(409, "busy", name) for name in ("home", "park", "calibrate")),
    _bad(409, "busy", "firmware_upgrade", package_url=PACKAGE),
    _bad(409, "a job is running", "dismiss"),
    _bad(409, "a job is running", "dismiss", job_id="other"),
    _bad(409, "resume", "resume"),
    *(_bad(409, "other", name, job_id="other") for name in ("pause", "resume", "cancel")),
    _bad(409, "respond", "respond", choice=0),
    _bad(409, "other", "respond", choice=0, job_id="other"),
    _bad(409, "cool", "cool"),
)
"""For a printer that prints, all at once."""

ONE_BY_ONE: tuple[Bad, ...] = (
    _print(422, "plain http is not allowed", file_url="http://192.0.2.1/a.gcode"),
    _print(422, "404 Not Found", file_url="SANDBOX/files/nothing/x.gcode"),
    _print(422, "401 Unauthorized", file_url="SANDBOX/v1/print/printers"),
    _print(422, "404 Not Found", file_url="SANDBOX/files/nothing/x.gcode", job_id=""),
    _print(422, "404 Not Found", file_url="SANDBOX/files/nothing/x.gcode", file_sha256="a" * 64),
)
"""For a printer that does nothing, one after the other: each has the printer for itself. SANDBOX is the cloud's URL."""

UNANSWERED: tuple[Any, ...] = (
    *(None, 5, True, "", "text", [], [{}], {}, {"command": "home"}, '{"command": "home"}', '{"command": "home"'),
    *({"command": "home", "task_id": one} for one in (None, 5, "", ".", "..", "a/b", "a b", "a\n", "a" * 129, ["t"])),
)
"""Messages with no task_id that can be answered."""
