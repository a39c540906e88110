"""Client of the member's side of the API: what a person does in the web portal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from agent.errors import CloudError, RejectedError, TokenError

Body = dict[str, Any]

_TIMEOUT_S = 10.0


class SandboxMember:
    """Client of one member of the server at `url` (scheme, host, port). Not thread-safe: one session.

    Every method raises CloudError (no answer, or «later»), TokenError (the token is not taken) or RejectedError."""

    def __init__(self, url: str, member_token: str, *, api_base: str = "/v1") -> None:
        self._root = url.rstrip("/")
        self._api = f"{self._root}{api_base}/print"
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc would replace the token; a proxy has no business on loopback
        self._session.headers["Authorization"] = f"Bearer {member_token}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> SandboxMember:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def upload(self, path: Path) -> str:
        """Upload a file, streamed; returns the URL that a printer downloads it by. Also raises OSError for `path`."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", path.name).lstrip(".-")[:128] or "file"
        with path.open("rb") as file:
            return str(self._ask("PUT", f"{self._root}/files/{quote(name)}", data=file)["url"])

    def register(self, name: str, code: str) -> int:
        """Register the printer that shows `code`; returns its id."""
        body = {"printer_name": name, "registration_code": code}
        return int(self._ask("POST", f"{self._api}/printers/register", json=body)["printer_id"])

    def submit_job(
        self, printer_id: int, url: str, name: str = "", settings: Mapping[str, object] | None = None
    ) -> Body:
        """Submit a print of `url`; returns `{printer_id, job_id, status, task_id}`."""
        body = {"printable_url": url, "job_name": name, "settings": dict(settings or {})}
        return self._ask("POST", f"{self._api}/printers/{printer_id}/jobs", json=body)

    def command(self, printer_id: int, command: str, **parameters: object) -> str:
        """Send a command with `job_id`, `settings`, `package_url`, `choice` as it needs them; returns its task_id."""
        body = {"command": command, **parameters}
        return str(self._ask("POST", f"{self._api}/printers/{printer_id}/command", json=body)["task_id"])

    def task(self, task_id: str) -> Body:
        """Return the last report on a task, with `command` and `status_update_time`."""
        return self._ask("GET", f"{self._api}/printers/command/{quote(task_id, safe='')}")

    def reports(self, task_id: str) -> list[Body]:
        """Return all reports on a task, in order: `{body, time}` each."""
        found = self._ask("GET", f"{self._api}/printers/command/{quote(task_id, safe='')}/reports")["reports"]
        return [dict(each) for each in found]

    def printers(self, limit: int = 10, offset: int = 0) -> Body:
        """Return one page of the member's printers; `limit` -1 is all."""
        return self._ask("GET", f"{self._api}/printers", params={"limit": limit, "offset": offset})

    def printer_status(self, printer_id: int) -> Body:
        """Return `last_check_in` (ms), `printer_availability`, `last_reported_state`."""
        return self._ask("GET", f"{self._api}/printers/status/{printer_id}")

    def job(self, job_id: str) -> Body:
        """Return a job's last state."""
        return self._ask("GET", f"{self._api}/jobs/{quote(job_id, safe='')}")

    def _ask(self, method: str, url: str, **content: Any) -> Body:
        try:
            response = self._session.request(method, url, timeout=_TIMEOUT_S, allow_redirects=False, **content)
            body = response.json() if response.content else {}
        except (requests.RequestException, ValueError) as error:
            raise CloudError(f"{method} {url} was not answered: {type(error).__name__}") from error
        status = response.status_code
        if status in {200, 204} and isinstance(body, dict):
            return body
        error_body = body.get("error") if isinstance(body, dict) else None
        reason = str(error_body.get("message", "")) if isinstance(error_body, dict) else ""
        message = f"{method} {url} was answered {status}: {reason or 'no reason given'}"
        if status == 401:
            raise TokenError(message)
        if status in {408, 425, 429} or status >= 500:
            raise CloudError(message)
        raise RejectedError(message, status=status, answer=reason)
