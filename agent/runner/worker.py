"""Blocking work on a thread of its own, owned by the runner, with a way to cancel it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from agent.errors import AgentError

T = TypeVar("T")

log = structlog.get_logger(part="worker")


class Worker(Generic[T]):
    """Runs `work(cancelled)` on a thread called `name`, then calls `wake`.

    `work` looks at `cancelled()` often, and raises an AgentError of its own or returns soon after it says True.
    """

    def __init__(
        self, name: str, work: Callable[[Callable[[], bool]], T], wake: Callable[[], None], task_id: str
    ) -> None:
        self._task_id = task_id
        self._work = work
        self._wake = wake
        self._cancel = threading.Event()
        self._done = threading.Event()
        self._outcome: tuple[T] | AgentError = AgentError("the work has not ended")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the work has ended and `result` may be called."""
        return self._done.is_set()

    def result(self) -> T:
        """What the work returned. Raises the AgentError that it raised."""
        if isinstance(self._outcome, AgentError):
            raise self._outcome
        return self._outcome[0]

    def cancel(self) -> None:
        """Request the end; returns at once."""
        self._cancel.set()

    def end(self, timeout: float) -> bool:
        """Cancel and wait at most `timeout` seconds. Whether it has ended."""
        self._cancel.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the end, without a cancel. Whether it has ended."""
        return self._done.wait(timeout)

    def _run(self) -> None:
        try:
            self._outcome = (self._work(self._cancel.is_set),)
        except AgentError as error:
            self._outcome = error
        except Exception as error:  # a defect of ours must become the task's end, not a task that never ends
            log.exception("worker crashed", worker=self._thread.name, task_id=self._task_id)
            self._outcome = AgentError(f"internal error: {type(error).__name__}")
        finally:
            self._done.set()
            self._wake()
