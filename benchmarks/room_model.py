"""What must hold of the bed and of starts, judged without the agent's own rule: by what the printer was made to do, and
by what people and the cloud were answered.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.core.bed import NOT_CLEAR
from agent.core.task import TaskState
from agent.errors import RefusedError

EPOCH = 1.7e9  # the server's time at the beginning
START_WITHIN = 600.0  # [job] start_within_s
MAX_AGE = 86400.0  # [job] max_age_s
SLACK = 1.0  # seconds by which the age of a message that the server dated is not known


class Seen(Protocol):
    """As much of the world as the model looks at."""

    board: Any
    printer: Any

    def tasks(self, state: TaskState) -> Any:
        """Ids and messages of the tasks in a state."""


class Sent:
    """A command as it was sent: when, in true time, and whether the agent can know it."""

    def __init__(self, message: Mapping[str, Any], at: float, boot: int) -> None:
        self.command = str(message["command"])
        self.job_id = str(message.get("job_id", ""))
        self.dated = "sent_at" in message
        self.at = at
        self.boot = boot  # at the first delivery
        self.missed = False
        self.delivered_at: float | None = None


class Model:
    """`confirmed` is None where a kill left it open whether the person's word was kept; then both are right."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 0.0  # true seconds
        self.confirmed: bool | None = True
        self.on_bed = ""  # the task whose print the agent has on the bed
        self.last_job = ""
        self.ended_at = -1e9
        self.cut = False  # the board was off since the last start of the agent
        self.ended_before_boot = False  # how long ago the last print ended is then told by the wall clock alone
        self.stale = 0
        self.waits = 0
        self.refused = 0
        self.confirmations = 0
        self._boot = 1
        self._sent: dict[str, Sent] = {}
        self._judged: set[str] = set()
        self._started: set[str] = set()

    # --- what happens

    def sent(self, message: Mapping[str, Any]) -> None:
        """A command was sent."""
        self._sent[str(message["task_id"])] = made = Sent(message, self.now, self._boot)
        made.delivered_at = None if "local" not in str(message["task_id"]) else self.now

    def delivered(self, message: Mapping[str, Any], *, missed: bool) -> None:
        """It reaches the agent, whose ledger has not heard it yet."""
        sent = self._sent[str(message["task_id"])]
        sent.delivered_at, sent.missed, sent.boot = self.now, missed, self._boot

    def started(self, task_id: str, policy: str) -> None:
        """The first line of a print has gone to the printer."""
        sent = self._sent[task_id]
        own = self.on_bed == task_id  # it took the bed in the ledger, then its agent died
        assert policy == "free" or own or self.confirmed is not False, f"{task_id} begins on an unconfirmed bed"
        assert task_id not in self._started, f"{task_id} begins twice"
        age = self.now - sent.at
        if not own:
            assert age <= START_WITHIN + SLACK, f"{task_id} begins by itself {age:.0f} s after it was sent"
            assert sent.boot == self._boot, f"{task_id} begins by itself after a reboot"
            assert sent.dated or not sent.missed, f"{task_id} was missed, nobody knows when it was sent, and it begins"
        self._started.add(task_id)
        self._take(task_id)

    def was_started(self, task_id: str) -> bool:
        """Whether a line of it has reached the printer."""
        return task_id in self._started

    def _take(self, task_id: str) -> None:
        self.confirmed, self.on_bed, self.last_job = False, task_id, self._sent[task_id].job_id

    def restarted(self, checkpoints: set[str], printing: str, policy: str) -> None:
        """A new agent looks at the ledger. A print whose beginning was committed has the bed, whether or not its first
        line was sent; one that prints must be there."""
        assert not printing or printing in checkpoints, f"{printing} prints, and the ledger has lost it"
        for task_id in checkpoints - {self.on_bed}:
            if task_id not in self._started:
                assert policy == "free" or self.confirmed is not False, f"{task_id} took an unconfirmed bed"
                self._take(task_id)

    def rebooted(self, off: float) -> None:
        """The board was without power for a time."""
        self.now += off
        self._boot += 1
        self.cut = self.ended_before_boot = True

    def ready(self, confirm: Callable[[], Any], dead: Callable[[], bool]) -> None:
        """A person says that the bed is clear."""
        try:
            confirm()
        except RefusedError:
            assert self.on_bed, "a person's word was refused, and no print is on the bed"
            return
        if self.on_bed:
            assert dead(), "a person's word counted while a print was on the bed"
        elif dead():
            self.confirmed = True if self.confirmed else None
        else:
            self.confirmed = True
            self.confirmations += 1

    # --- what is seen

    def look(self, world: Seen) -> None:
        """Judge what has ended since the last look."""
        for state in (TaskState.COMPLETED, TaskState.FAILED):
            for task_id, message in world.tasks(state):
                if task_id not in self._judged and task_id in self._sent:
                    self._judged.add(task_id)
                    self._judge(task_id, self._sent[task_id], message, done=state is TaskState.COMPLETED)

    def _judge(self, task_id: str, sent: Sent, message: str, *, done: bool) -> None:
        if sent.command == "print_data":
            self._judge_print(task_id, sent, message)
        elif sent.command == "dismiss":
            self._judge_dismiss(sent, message, done=done)

    def _judge_print(self, task_id: str, sent: Sent, message: str) -> None:
        if NOT_CLEAR in message:
            self.refused += 1
            assert self.confirmed is not True, f"{task_id} was refused on a confirmed bed: {message}"
        elif "too old" in message or "not begun within" in message:
            assert self.now - sent.at > START_WITHIN - SLACK, f"{task_id} was young enough: {message}"
        elif "started anew" in message:
            assert sent.boot != self._boot
        elif "was missed" in message:
            assert sent.missed
            assert not sent.dated
        if self.on_bed == task_id:
            self.on_bed, self.ended_at, self.ended_before_boot = "", self.now, False
        elif "the printer refuses" in message and self.confirmed is False:  # nobody is asked: it took the bed in vain
            self.last_job, self.ended_at = sent.job_id, self.now

    def _judge_dismiss(self, sent: Sent, message: str, *, done: bool) -> None:
        heard = sent.delivered_at if sent.delivered_at is not None else sent.at
        since = sent.at if sent.dated else heard
        counts = not self.on_bed and (not sent.job_id or sent.job_id == self.last_job) and since > self.ended_at + SLACK
        if not sent.dated:
            counts = counts or (not self.on_bed and since >= self.ended_at and sent.job_id in ("", self.last_job))
            counts = counts and not (sent.missed and not sent.job_id)
        if done:
            assert counts or self.confirmed is not False, f"a dismiss confirmed the bed that must not: {message}"
            self.confirmations += not self.confirmed
            self.confirmed = True
        elif self.confirmed is False:
            late = since <= self.ended_at + SLACK or self.now - since > MAX_AGE - SLACK
            lost = "the agent ended" in message or "was stopped" in message
            assert not counts or late or lost or self.ended_before_boot, f"a dismiss that counts was refused: {message}"
            self.stale += 1

    def rest(self, world: Seen, policy: str) -> None:
        """What must hold when nothing more comes by itself."""
        self.cut = False
        situation = world.board.read()
        idle = str(world.printer.slot.state) == "idle"
        waiting = situation.busy == "awaiting_bed"
        self.waits += waiting
        assert not waiting or policy == "ask"
        assert not (waiting and self.confirmed is True), "a print waits for a confirmed bed"
        assert not (idle and situation.busy == "print_data" and self.confirmed is True), "a print does not begin"
        if policy != "free" and self.confirmed is not None:
            told = "clear" if self.confirmed else "not_confirmed"
            assert situation.bed == told, f"the cloud is told {situation.bed}, and the bed is {told}"
        assert policy != "free" or situation.bed == ""
