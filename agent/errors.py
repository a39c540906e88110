"""The tree of exceptions that the agent and its drivers raise on purpose.

    AgentError
    ├── ConfigError        a key, a value, a file of the configuration           exit 78
    ├── DataError          a G-code file or an argument that cannot be used      exit 65
    │   └── ChangedError   a file that became another while it was fetched
    ├── CancelledError     work that was told to end before it was done
    ├── RefusedError       a command that cannot be done now, or ever            exit 69 or 65
    ├── UnavailableError   something needed is not there now                     exit 69
    │   ├── CloudError     the server did not answer, or said «later»
    │   └── NoSpaceError   the disk has no room for a file
    ├── RejectedError      the server said «never» (400, 404, 422), with its answer  exit 69
    ├── TokenError         the server refused the token (401, 403)                exit 69
    └── PrinterError       what a printer, or the cable to it, did
        ├── PortError        no such port, busy, unplugged
        └── NotReadyError    the printer is not in a state in which this can be done

`NotReadyError` is what a command that comes at the wrong moment meets: `home` while printing, `pause` with no job.
Each message is written for a person: what, where, and what was expected. None holds a token.
"""

from __future__ import annotations

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_UNAVAILABLE = 69
EX_CONFIG = 78


class AgentError(Exception):
    """The root. `exit_code` is the process's exit code (sysexits.h) when a command of the command line ends with it."""

    exit_code = 1


class ConfigError(AgentError):
    """The configuration cannot be used; the message names the file, the key and what was expected."""

    exit_code = EX_CONFIG


class DataError(AgentError):
    """A file or an argument cannot be used, for example a G-code file with an over-long line."""

    exit_code = EX_DATAERR


class ChangedError(DataError):
    """The file became another one on the server while it was being fetched; a new download may work."""


class CancelledError(AgentError):
    """The work was told to end before it was done; nothing of it is left."""


class RefusedError(AgentError):
    """A command that cannot be done now or ever, or that failed; `code` is the error_code of its terminal report. Only
    what is wrong with the command's own values or file (400, 422) is bad data."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = EX_DATAERR if code in (400, 422) else EX_UNAVAILABLE


class UnavailableError(AgentError):
    """Something needed is not there now: a server, the running agent, a port."""

    exit_code = EX_UNAVAILABLE


class CloudError(UnavailableError):
    """The server did not answer or asked to come back later. `status` is the HTTP status, None when there was no
    answer at all; `retry_after` is in seconds, None when the server did not say."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class NoSpaceError(UnavailableError):
    """The disk has no room for a file; something that is kept there may be deleted for it."""


class RejectedError(AgentError):
    """The server will never take this request. `status` is the HTTP status, `answer` the start of its body."""

    exit_code = EX_UNAVAILABLE

    def __init__(self, message: str, *, status: int, answer: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer


class TokenError(AgentError):
    """The server refused the token; `status` is 401 or 403. The token itself is never part of the message."""

    exit_code = EX_UNAVAILABLE

    def __init__(self, message: str, *, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class PrinterError(AgentError):
    """What a printer, or the cable to it, did."""

    exit_code = EX_UNAVAILABLE


class PortError(PrinterError):
    """The serial port is missing, busy, not permitted, or was unplugged."""


class NotReadyError(PrinterError):
    """The printer is not in a state in which this can be done."""
