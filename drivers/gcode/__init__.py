"""Printers that speak G-code over a serial line.

driver, slot, requests, timing   the face: `agent.core.driver.Driver`; what other threads see and ask; all timeouts
link/       the thread that owns the port: search, opening, the loop that reads and writes, the black box
session/    one open connection: state, operations, replies, host actions, checkpoint, takeover
printing/   what is sent in which order, as generators of steps: file, procedures, heaters, parking, dialects
protocol/   pure: numbers, acknowledgements, resends, silence as a table over parts (docs/serial-protocol.md)

Each room imports only those below it: link → session → printing → protocol.
"""
