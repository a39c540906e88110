"""`printer-agent dry-run`: the daemon, a simulated printer and a local cloud, each a process of its own, and one print
through all of them. What is shown, and the summary, is what the *cloud* was told.

    processes.py  the three child processes: start, their events, their end
    print_run.py  what a person does: read the code, register the printer, submit the job; and following it
    display.py    a progress bar on a terminal, lines of text elsewhere, JSON on request
"""

from agent.dryrun.print_run import DryRunOptions, run

__all__ = ["DryRunOptions", "run"]
