"""The local cloud of the dry run: a Faye broker, the REST API and file hosting in one process, on loopback.

    channels, bayeux, broker, access         pure: the server's side of Bayeux 1.0; who may subscribe and publish where
    faye_http, web                           HTTP: held polls, JSON bodies, errors
    api_context, printer_api, member_api     the REST API by side (docs/protocol.md)
    rights, rights_api, rate_limit           what a member may do, who gives it, how often
    original_bodies                          pure: bodies of the interface's first clients
    file_hosting                             files that printers download and upload
    validate, views                          pure: checks of request bodies, and answers
    records_file, accounts, task_records     what survives a restart, one SQLite file
    publisher                                commands published on an external Faye server instead of ours
    serve                                    the server itself
    member_client                            the member's side of the API as a client

It needs the `sandbox` extra (bottle, waitress), so nothing here is imported unless it is used.
"""
