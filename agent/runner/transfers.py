"""Transfers on a thread of their own; `logs`: the agent's log, gzipped, PUT to the given URL."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3

from agent.core import report
from agent.core.driver import Telemetry
from agent.errors import AgentError, RefusedError, UnavailableError
from agent.runner.activity import Context
from agent.runner.worker import Worker
from agent.server.api_client import describe
from agent.server.http_deadline import deadline_session
from agent.state.store import Task

UPLOAD_MAY_TAKE = 300.0  # seconds


class TransferActivity:
    """Blocking work on a thread: its result joins `data` of the terminal report."""

    outlives = False

    def __init__(
        self,
        context: Context,
        task: Task,
        work: Callable[[Callable[[], bool]], report.Result],
        *,
        exclusive: bool,
    ) -> None:
        self._context = context
        self.task = task
        self.exclusive = exclusive
        self.busy = task.command.raw_name if exclusive else ""
        self.ended = False
        self._worker: Worker[report.Result] = Worker(
            task.command.raw_name[:15], work, context.wake, task.command.task_id
        )

    def step(self, telemetry: Telemetry) -> None:  # noqa: ARG002 the printer has no part in it
        """End when the work has ended."""
        if not self._worker.done:
            return
        try:
            result = self._worker.result()
        except RefusedError as refusal:
            self._context.fail(self.task, refusal.code, f"{self.task.command.raw_name}: {refusal}")
        except AgentError as error:
            self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {error}")
        else:
            self._context.complete(self.task, result=result)
        self.ended = True

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Cancel the work and fail: the agent goes down."""
        self._worker.end(timeout=2.0)
        self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
        self.ended = True


def upload_logs(context: Context, task: Task) -> TransferActivity:
    """`logs`: upload the log; the URL where it is then is `data.url`."""
    url = task.command.url

    def work(_cancelled: Callable[[], bool]) -> report.Result:
        body = gzip.compress(context.logs())
        limits = (context.config.cloud.connect_timeout_s, context.config.cloud.read_timeout_s)
        headers = {"Content-Type": "application/gzip"}
        session, limited = deadline_session(context.clock.monotonic)
        limited.set_deadline(UPLOAD_MAY_TAKE)
        try:
            with (
                session,
                session.put(
                    url, data=body, headers=headers, timeout=limits, allow_redirects=False, stream=True
                ) as answer,
            ):
                content = answer.raw.read(65536, decode_content=True) or b""
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(f"the server for the logs did not answer: {describe(error)}") from None
        if not 200 <= answer.status_code < 300:
            raise UnavailableError(f"the server for the logs answered {answer.status_code}")
        return report.Result(url=_answered_url(content) or urlunsplit(urlsplit(url)._replace(query="", fragment="")))

    return TransferActivity(context, task, work, exclusive=False)


def _answered_url(answer: bytes) -> str:
    """The URL in the server's answer; empty without one."""
    try:
        url = msgspec.json.decode(answer, type=dict[str, object]).get("url")
    except (msgspec.MsgspecError, UnicodeError):
        return ""
    return url if isinstance(url, str) else ""
