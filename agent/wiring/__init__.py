"""Wiring of the agent: each module makes the parts of one group from those before it, and alone names their classes.

base_parts.py     what all threads share        server_parts.py   what talks with the cloud
runner_parts.py   commands in progress          local_parts.py    the person at the printer

`agent/app.py` calls them in this order and runs what they give.
"""
