"""Printers that speak G-code over a serial line.

framing, replies, codes   pure: bytes of a line, what a printer says, what a command is
protocol, sending         pure: credits, resends, silence, what is in flight; time is passed in
numbering, window         pure: the numbers of the file's and the host's lines; how much may be in flight
dialects                  what a firmware can do, from its answer to M115
steps, procedures, feed   what is sent in which order, as generators of steps (heat, modes, routines: their needs)
pump, session, ears       one open connection: runs a procedure over the protocol, keeps the printer's state
slot, requests            what other threads see of it, and ask of it
port, link                the descriptor, and the one thread that owns it
driver                    `agent.core.ports.Driver`
"""
