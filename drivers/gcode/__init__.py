"""Printers that speak G-code over a serial line.

framing, replies, codes   pure: bytes of a line, what a printer says, what a command is
protocol, transitions     pure: credits, resends, silence as a table over parts (docs/serial-protocol.md); fast_path
numbering, window         pure: the numbers of the file's and the host's lines; how much may be in flight
discovery                 which ports there are, and whose they are
dialects                  what a firmware can do, from its answer to M115
steps, procedures, feed   what is sent in which order, as generators of steps (heat, modes, parking, routines help)
pump, session, ears       one open connection: runs a procedure over the protocol, keeps the printer's state
standing, printing        what a session stands at; the prints and scripts on it
memory, whereabouts       pure: what the next agent must know of a print; where a printer is in it
takeover                  a print that another agent began is gone on with
actions, quality          what is done at the printer; how well the link does
slot, requests            what other threads see of it, and ask of it
urgent                    what is written past the protocol: emergency stop, reboot, heaters off
blackbox                  the last lines both ways, written down when something fails
terminal, port, opening   the descriptor, and what is kept of it for the next agent
seeking, link             the one thread that owns it: how it finds the printer, and talks to it
driver                    `agent.core.driver.Driver`
"""
