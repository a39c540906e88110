"""Commands in progress: one command → driver calls → reports. The runner's thread is the sole owner of the driver's
commands.

loop.py              the thread: takes new tasks from the ledger, steps each activity, never waits
dispatch.py          which activity a command becomes      running_activities.py the activities that run now
activity.py          what an activity is, and what it may use
print_activity.py    print_data, a table of phases         print_recovery.py   of a print after a restart
print_progress.py    what others see of a print
job_control.py       pause, resume, cancel of it           startup_recovery.py what an agent before left unfinished
script_activity.py   home, park, calibrate, reset, settings, dismiss
transfers.py         logs                                  firmware_upgrade.py a table of phases
package_fetch.py     package, manifest, signature          install_command.py what writes it, watched
worker.py            blocking work (a download, an upload) on a thread of its own, with a way to cancel it
runner_store.py      the one door to the store             report_writer.py    progress and ends of tasks
"""

from agent.runner.loop import Runner

__all__ = ["Runner"]
