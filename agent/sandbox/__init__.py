"""The local cloud of the dry run: a Faye broker, the REST API and file hosting in one process, on loopback.

    channels, bayeux, broker, access   pure: Bayeux 1.0 as a server sees it, and who may hear or say what
    faye_http, web             HTTP glue: held polls, JSON bodies, errors
    cloud, printer_api, member_api, files   the REST API by side (docs/protocol.md)
    validate, views            pure: bodies in, bodies out
    database, state, ledger    what survives a restart, one SQLite file
    publisher, serve, client   an external Faye server instead of ours; the server itself; the member's client

It needs the `sandbox` extra (bottle, waitress), so nothing here is imported unless it is used.
"""
