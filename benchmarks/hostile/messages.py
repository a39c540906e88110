"""Messages of a hostile publisher."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.hostile.stage import Stage

Message = dict[str, object]
Attack = Callable[[Stage], None]


def tree(megabytes: int) -> bytes:
    """A message of nothing but empty objects, by the issue's 3 bytes each."""
    return b'{"command":"x","x":[%b]}' % b",".join([b"{}"] * (megabytes * 333_333))


def wrong_types() -> list[Message]:
    """Every field with values that it cannot have."""
    values: list[object] = [None, True, -1, 1e308, [], [[]], {}, {"a": {}}, "", " ", "\u202e", "\x1b[2J", "x" * 9000]
    fields = ("task_id", "command", "job_id", "job_name", "settings", "file_url", "upload_url", "sent_at", "file_md5")
    base: Message = {"command": "home", "task_id": "w"}
    return [{**base, "task_id": f"w{i}-{field}", field: value} for field in fields for i, value in enumerate(values)]


def injections() -> list[Message]:
    """G-code where a number or a name is expected."""
    texts = [
        "200\nM112",
        "1;M112",
        "M112",
        "0x7f",
        "NaN",
        "1e999",
        "\u0664\u0662",
        "${M112}",
        "210 M112",
        "\r\nM112\r\n",
    ]
    names = ("nozzle_temperature", "bed_temperature", "speed_percent", "flow_percent", "fan_percent", "z_offset")
    return [
        {"command": "settings", "task_id": f"i{i}-{name}", "settings": {name: text}}
        for name in names
        for i, text in enumerate(texts)
    ]


def elements(*data: bytes, times: int = 1) -> Attack:
    """These as `data` of messages on the channel."""

    def attack(stage: Stage) -> None:
        for _ in range(times):
            stage.publish([], raw=[b'{"channel":"CHANNEL","data":%b}' % one for one in data])

    return attack


def each(messages: Sequence[Message]) -> Attack:
    """These messages, once."""
    return lambda stage: stage.publish(messages)
