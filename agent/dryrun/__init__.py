"""`printer-agent dry-run`: the daemon, a simulated printer and a local cloud, each a process of its own, and one print
through all of them. What is shown, and the summary, is what the *cloud* was told.

    parts.py    the three processes: start, their events, their end
    session.py  what a person does: read the code, register the printer, submit the job; and following it
    show.py     a bar on a terminal, plain lines elsewhere, JSON
"""

from agent.dryrun.print_run import Wanted, run

__all__ = ["Wanted", "run"]
