"""One command -> driver calls -> reports. The runner's thread is the sole owner of the driver's commands.

loop.py        the thread: takes new tasks from the ledger, lets each activity look at the printer, never waits
activity.py    what an activity is, and what it may use
printing.py    print_data, and pause, resume, cancel of it
procedures.py  home, park, calibrate, reset, settings, dismiss
transfers.py   logs, firmware_upgrade
worker.py      blocking work (a download, an upload) on a thread of its own, with a way to cancel it
"""

from agent.runner.loop import Runner

__all__ = ["Runner"]
