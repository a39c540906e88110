"""OctoPrint's comm layer prints one file; run by the Python of OctoPrint's own environment, never by ours.

    python octoprint_comm.py PORT FILE FOLDER

`octoprint.util.comm.MachineCom` with OctoPrint's default settings in FOLDER and its plug-in manager without plug-ins:
no web server, no file analysis. Prints one line of JSON: `cpu` in seconds from the start of the print to its end.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from importlib import import_module
from typing import Any

LIMIT_S = 280.0


class Callback:
    """What MachineCom tells; all but three things are of no interest."""

    def __init__(self, operational: object) -> None:
        self._operational = operational
        self.operational = threading.Event()
        self.done = threading.Event()
        self.wrong = ""

    def on_comm_state_change(self, state: object) -> None:
        """Connected, and more."""
        if state == self._operational:
            self.operational.set()

    def on_comm_print_job_done(self, *_: object, **__: object) -> None:
        """The last line is acknowledged."""
        self.done.set()

    def on_comm_error(self, error: object, *_: object, **__: object) -> None:
        """The connection is of no use any more."""
        self.wrong = str(error)
        self.done.set()

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Profiles:
    """One printer."""

    def get_current_or_default(self) -> dict[str, Any]:
        """A hot end and a bed."""
        return {"heatedBed": True, "heatedChamber": False, "extruder": {"count": 1, "sharedNozzle": False}}


def main() -> int:
    """See the module."""
    port, file, folder = sys.argv[1:4]
    import_module("octoprint.settings").settings(init=True, basedir=folder)
    import_module("octoprint.plugin").plugin_manager(init=True, plugin_folders=[], plugin_entry_points=[])
    comm_module = import_module("octoprint.util.comm")
    callback = Callback(comm_module.MachineCom.STATE_OPERATIONAL)
    comm = comm_module.MachineCom(port=port, baudrate=115200, callbackObject=callback, printerProfileManager=Profiles())
    comm.start()
    assert callback.operational.wait(60.0), "not operational"
    time.sleep(3.0)  # its own questions (M115, M20, ...) are answered
    comm.selectFile(file, False)
    began = time.process_time()
    comm.startPrint()
    assert callback.done.wait(LIMIT_S), "not done"
    taken = time.process_time() - began
    assert not callback.wrong, callback.wrong
    print(json.dumps({"cpu": taken}), flush=True)  # noqa: T201
    comm.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
