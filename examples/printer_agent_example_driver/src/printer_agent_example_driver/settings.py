"""The keys of the configuration's `[driver]` table."""

from __future__ import annotations

from typing import Annotated

import msgspec


class TcpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`host` and `tcp_port` are where the printer listens. `connect_timeout_s` limits one try to connect,
    `answer_timeout_s` the silence after a line before the printer counts as gone, both in seconds. `poll_s` is the time
    between two looks at the temperatures. `reset_command` is sent before the connection is closed for a reset, for
    firmware that reboots by a command; empty where closing and opening it does that, as ser2net does by DTR."""

    host: str
    tcp_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 23
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    answer_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    poll_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    reset_command: str = ""
