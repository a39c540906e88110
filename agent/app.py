"""The agent as one process: `App` makes the parts by `agent/wiring/`, starts the threads and ends them in order.

main         signals, health, watchdog            subscriber   Faye -> inbox
runner       tasks -> driver                      catch-up     GET printers/jobs after a gap
link         the serial port (the driver's own)   reporter     outbox -> REST, heartbeat
local        the socket, with its workers   fetch, logs  short-lived, owned by the runner
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, MutableMapping

import structlog

from agent import __version__
from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.errors import UnavailableError
from agent.local.status_text import summary
from agent.service.config import Config
from agent.service.descriptor_store import port_keeper
from agent.service.health import Health, watchdog_interval
from agent.service.logs import Ring, report_suppressed
from agent.service.loop_threads import Loop, LoopThreads
from agent.service.reload import Reload
from agent.service.run_log import RunLog
from agent.wiring.base_parts import build_base
from agent.wiring.local_parts import build_local
from agent.wiring.runner_parts import build_runner
from agent.wiring.server_parts import build_server

log = structlog.get_logger(part="agent")

EX_SOFTWARE = 70  # a thread ended that should not have: a defect, and systemd starts a new agent
THREAD_END = 8.0  # seconds that a thread has to end
INHIBITED = 1.0  # seconds between two looks at what must not be interrupted
SLACK = 10.0  # seconds more that systemd is asked for
LAST_WORDS = (1.0, 2.0)  # seconds (connect, read) for the reports that go out while the agent stops
LAST_DESCRIPTOR = 0.5  # seconds that systemd has at the end to take a message about a port that is still to be kept
HAND_OVER = 1.5  # seconds for all threads to end when the next agent waits for this one's end
LAST_WORD = (0.5, 0.5)  # as LAST_WORDS, then: what is not sent, the next agent sends


class App:
    """The daemon. Making it opens the state and the socket; `run` starts the threads."""

    def __init__(
        self,
        *,
        config: Config,
        environ: MutableMapping[str, str],
        clock: Clock,
        ring: Ring,
        health: Health,
        reread: Callable[[], Config],
    ) -> None:
        """`reread` gives the configuration as it is in the file now, checked as a whole; it raises AgentError."""
        port = port_keeper(environ, os.getpid(), health.notify)  # before anything else is opened
        self.base = base = build_base(config, environ, clock, health)
        self.server = server = build_server(base)
        self._local = local = build_local(base, server, environ)
        self._run_log = RunLog(base.runs)
        ring.attach(self._run_log.write)
        runner = build_runner(base, port, ring)
        self._reload = Reload(config, reread, base.driver, runner.configure)
        loops: dict[str, Loop] = {
            "runner": runner.run,
            "reporter": server.reporter.run,
            "catch-up": server.catch_up.run,
            "subscriber": server.subscriber.run,
            "local": local.server.run,
        }
        if local.page is not None:
            loops["page"] = local.page.run
        self._threads = LoopThreads(loops, base.lifecycle, last="reporter")

    def run(self) -> int:
        """Serve until a signal or `stop`. The process's exit code."""
        base = self.base
        self._threads.start()
        log.info("agent started", version=__version__)
        base.health.ready()
        interval = watchdog_interval()
        while not base.lifecycle.stop.is_set():
            self._maintain()
            base.health.tick(summary(base.snapshot.read(), base.conditions.read()))
            base.lifecycle.wait(interval)
            if base.lifecycle.take_reload():
                base.health.reloading()
                self._reload.run()
                base.health.ready()
        self._shut_down()
        return EX_SOFTWARE if base.lifecycle.has_failed() else 0

    def stop(self) -> None:
        """End `run`; any thread."""
        self.base.lifecycle.request_stop()

    def handle_signals(self) -> None:
        """See Lifecycle. Main thread only."""
        self.base.lifecycle.handle_signals()

    def _maintain(self) -> None:
        """Update the conditions that no thread watches, and tidy the store."""
        base = self.base
        report_suppressed()
        base.conditions.set(Part.CLOCK, self.server.clock.describe_skew())
        situation = base.snapshot.read()
        base.conditions.update_printer(situation.telemetry)
        base.conditions.update_bed(situation.busy)
        try:
            base.store.tidy()
        except UnavailableError as error:
            log.debug("store not tidied", error=str(error))

    def _shut_down(self) -> None:
        """End all threads, the reporter last, and close the store."""
        base, server = self.base, self.server
        handing_over = base.lifecycle.is_handing_over()
        if handing_over:
            log.info("agent handing over")
        else:
            log.info("agent stopping")
        base.health.stopping()
        for client in server.clients:
            client.set_timeouts(LAST_WORD if handing_over else LAST_WORDS)
        server.catch_up.request()
        server.subscriber.interrupt()
        self._local.server.interrupt()
        base.wake_runner.set()
        self._wait_for_inhibitor()
        join = self._join_by_deadline() if handing_over else self._join_with_patience
        self._threads.join_others(join)
        self._threads.end_last(join, base.wake_reporter.set)
        alive = self._threads.alive()
        if alive:
            log.warning("threads still alive", threads=", ".join(alive))
        else:
            base.store.close()
        base.health.notify.close(store_within=LAST_DESCRIPTOR)
        log.info("agent stopped")
        self._run_log.close()

    def _wait_for_inhibitor(self) -> None:
        """Wait for what must not be interrupted, and have systemd wait as well."""
        health, inhibitor = self.base.health, self.base.inhibitor
        inhibitor.close()
        while reason := inhibitor.wait(INHIBITED):
            health.status(f"stops when it has ended: {reason}")
            health.extend(THREAD_END + SLACK)

    def _join_by_deadline(self) -> Callable[[threading.Thread], None]:
        """Give all threads together HAND_OVER seconds from now."""
        clock = self.base.clock
        deadline = clock.monotonic() + HAND_OVER
        return lambda thread: thread.join(max(deadline - clock.monotonic(), 0.0))

    def _join_with_patience(self, thread: threading.Thread) -> None:
        """Give a thread THREAD_END seconds, and have systemd give them too."""
        self.base.health.extend(THREAD_END + SLACK)
        thread.join(timeout=THREAD_END)
