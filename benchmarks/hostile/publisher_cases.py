"""Cases of whoever may publish on the printer's channel, and of a Faye server gone wrong (long-polling)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from benchmarks.hostile import answers
from benchmarks.hostile.answers import JSON, OK, bomb, endless, gzipped, raw, reset, silent, whole
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage
from tests.support.hostile_front import Answer

Message = dict[str, object]
Attack = Callable[[Stage], None]
UNHARMED = "dropped or refused; the print goes on"


def elements(*data: bytes, times: int = 1) -> Attack:
    """These as `data` of messages on the channel."""

    def attack(stage: Stage) -> None:
        for _ in range(times):
            stage.publish([], raw=[b'{"channel":"CHANNEL","data":%b}' % one for one in data])

    return attack


def flood(make: Callable[[int], Message], count: int, batch: int = 1000) -> Attack:
    """`count` messages; control is measured when the last of them is on its way."""

    def attack(stage: Stage) -> None:
        for at in range(0, count - batch, batch):
            stage.publish([make(number) for number in range(at, at + batch)])
        last = [make(number) for number in range(count - batch, count)]
        threading.Timer(0.2, stage.under_way.set).start()
        stage.publish(last)

    return attack


def each(messages: Sequence[Message]) -> Attack:
    """These messages, once."""
    return lambda stage: stage.publish(messages)


def instead(answer: Callable[[Stage], Answer], channel: bytes = b"/meta/") -> Attack:
    """Answer so where the server would answer a Faye request; control is measured after the first of them."""

    def attack(stage: Stage) -> None:
        stage.front.instead(lambda path, body: path.startswith("/faye") and channel in body, answer(stage))
        for _ in range(1500):
            if stage.front.answered or stage.ends.wait(0.01):
                break
            if _ % 100 == 50:
                stage.rig.command("request_settings")  # ends a held connect
        stage.ends.wait(0.5)
        stage.under_way.set()
        stage.ends.wait(60.0)

    return attack


def tree(megabytes: int) -> bytes:
    """A message of nothing but empty objects, by the issue's 3 bytes each."""
    return b'{"command":"x","x":[%b]}' % b",".join([b"{}"] * (megabytes * 333_333))


def braces(stage: Stage) -> None:
    """3 MB and 6 MB of them."""
    for megabytes in (3, 6, 3):
        stage.publish([], raw=[b'{"channel":"CHANNEL","data":%b}' % tree(megabytes)])


def unterminated(stage: Stage) -> None:
    """400 kB of a string without its end, thrice."""
    for _ in range(3):
        stage.publish([], raw=(b'{"channel":"CHANNEL","data":"' + b'\\"' * 200_000,), tail=b" ")


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


def no_injection(stage: Stage) -> None:
    """Send them, and look that no M112 came out."""
    stage.publish(injections())
    stage.told.append(lambda: _none_of(stage.executed(), "M112"))


def _none_of(executed: Sequence[str], code: str) -> None:
    assert not any(code in line for line in executed), f"{code} reached the printer"


def pauses_and_resumes(stage: Stage) -> None:
    """A hundred of each; the print comes to its end all the same."""
    for number in range(20):
        if stage.ends.wait(0.05):
            return
        names = ("pause", "resume") * 5
        stage.publish([{"command": name, "task_id": f"pr{number}-{i}"} for i, name in enumerate(names)])
    stage.publish([{"command": "resume", "task_id": "pr-last"}])


def stop_commands(stage: Stage) -> None:
    """10,000 pauses of other jobs, then the person's."""
    flood(lambda n: {"command": "pause", "task_id": f"p{n}", "job_id": "another"}, 10_000)(stage)


def advice(**fields: object) -> Callable[[Stage], Answer]:
    """A connect that succeeds and advises this."""
    import json

    body = json.dumps([{"channel": "/meta/connect", "successful": False, "error": "402::x", "advice": fields}])
    return lambda _: whole(body.encode())


PUBLISHER = (
    Case("braces", "publisher", "one message of 3 and 6 MB of {}", "skipped undecoded", braces, quick=True),
    Case(
        "settings-1000",
        "publisher",
        "1,000 settings of 20 kB under unknown names",
        "not stored",
        flood(lambda n: {"command": "settings", "task_id": f"s{n}", "settings": {f"x{n}": "y" * 20_000}}, 1000, 200),
        quick=True,
    ),
    Case(
        "refused-2000",
        "publisher",
        "2,000 refused commands of 60 kB",
        "dropped beyond the rate; the ledger keeps names only",
        flood(
            lambda n: {"command": "settings", "task_id": f"r{n}", "settings": {"speed_percent": 0, "x": "y" * 60_000}},
            2000,
            100,
        ),
        long=True,
    ),
    Case(
        "unterminated",
        "server",
        "a string without end in a reply of 400 kB",
        "split in linear time",
        unterminated,
        Control.CANCEL_LOCALLY,
        quick=True,
    ),
    Case(
        "tasks-100000",
        "publisher",
        "100,000 distinct tasks at full speed",
        UNHARMED,
        flood(lambda n: {"command": "home", "task_id": f"t{n}"}, 100_000, 5000),
        long=True,
    ),
    Case(
        "settings-10000",
        "publisher",
        "10,000 settings at full speed",
        UNHARMED,
        flood(lambda n: {"command": "settings", "task_id": f"u{n}", "settings": {"fan_percent": n % 100}}, 10_000),
        long=True,
    ),
    Case(
        "stops-10000",
        "publisher",
        "10,000 pauses of another job",
        "the person's cancel waits behind none",
        stop_commands,
        Control.CANCEL_LOCALLY,
        long=True,
    ),
    Case(
        "stops-10000-cloud",
        "publisher",
        "10,000 pauses of another job before the person's cancel, one channel",
        "the cancel is acted on as soon as it is written down",
        stop_commands,
        long=True,
    ),
    Case(
        "cancels-2000",
        "publisher",
        "2,000 cancels of another job",
        "refused together",
        flood(lambda n: {"command": "cancel", "task_id": f"c{n}", "job_id": "another"}, 2000),
    ),
    Case(
        "pauses-500",
        "publisher",
        "500 pauses of this print",
        "superseded together",
        flood(lambda n: {"command": "pause", "task_id": f"q{n}"}, 500, 500),
        Control.CANCEL,
    ),
    Case(
        "pauses-and-resumes",
        "publisher",
        "a hundred pauses and resumes in turn",
        "the print comes to its end whole",
        pauses_and_resumes,
        Control.WHOLE,
    ),
    Case(
        "one-task-5000",
        "publisher",
        "5,000 times the same task",
        "done once",
        flood(lambda _: {"command": "request_settings", "task_id": "same"}, 5000),
    ),
    Case(
        "unknown-5000",
        "publisher",
        "5,000 commands that there are not",
        UNHARMED,
        flood(lambda n: {"command": f"x{n}", "task_id": f"n{n}"}, 5000),
    ),
    Case(
        "prints-2000",
        "publisher",
        "2,000 print_data during a print",
        "refused as busy, dropped beyond the rate",
        flood(lambda n: {"command": "print_data", "task_id": f"d{n}", "file_url": "http://127.0.0.1:9/x"}, 2000),
    ),
    Case(
        "deep",
        "publisher",
        "100,000 lists in each other",
        "skipped undecoded",
        elements(
            b"[" * 100_000 + b"]" * 100_000, b'{"command":"x","settings":%b}' % (b'{"a":' * 9000 + b"1" + b"}" * 9000)
        ),
    ),
    Case(
        "one-string",
        "publisher",
        "strings of 200 kB and 2 MB",
        UNHARMED,
        elements(b'"%b"' % (b"x" * 200_000), b'"%b"' % (b"y" * 2_000_000), times=3),
    ),
    Case(
        "escapes",
        "publisher",
        "strings of nothing but \\u escapes",
        UNHARMED,
        elements(b'{"command":"%b","task_id":"e"}' % (b"\\u001b" * 40_000), times=3),
    ),
    Case(
        "json-in-json",
        "publisher",
        "a command as text in text, with 100,000 values",
        "refused undecoded",
        elements(b'"[%b]"' % (b"0," * 100_000 + b"0"), times=3),
    ),
    Case(
        "names-4-mb",
        "publisher",
        "an object with 10,000 names of 20 characters",
        UNHARMED,
        elements(b"{%b}" % b",".join(b'"name-of-a-field-%05d":0' % n for n in range(9_000)), times=5),
    ),
    Case(
        "numbers",
        "publisher",
        "numbers of 100,000 digits, 1e999999, NaN",
        UNHARMED,
        elements(b'{"command":"home","task_id":"n","sent_at":%b}' % (b"9" * 100_000), b'{"task_id":1e999999}', b"NaN"),
    ),
    Case(
        "encoding",
        "publisher",
        "bytes that are no UTF-8, lone surrogates, NUL",
        "that message alone is lost",
        elements(b'{"command":"\\ud800","task_id":"\\udfff"}', b'"\xff\xfe\x00\x80"', b'"\\u0000"'),
    ),
    Case(
        "paths",
        "publisher",
        "task_ids that are paths",
        "refused; nothing is written beside the state",
        each(
            [
                {"command": "home", "task_id": task}
                for task in ("../../x", "/etc/passwd", "..", "a/b", "a\0b", "~", "%2e%2e")
            ]
        ),
    ),
    Case(
        "wrong-types",
        "publisher",
        "117 messages with values that a field cannot have",
        "refused with a reason",
        each(wrong_types()),
        quick=True,
    ),
    Case("injection", "publisher", "G-code in the values of settings", "no M112 reaches the printer", no_injection),
    Case(
        "times",
        "publisher",
        "sent_at of all ages",
        UNHARMED,
        each(
            [
                {"command": "home", "task_id": f"a{i}", "sent_at": at}
                for i, at in enumerate(
                    ("0001-01-01", "9999-12-31T23:59:59+14:00", -1, 1e13, 1e300, "x" * 5000, "2020-01-01")
                )
            ]
        ),
    ),
    Case(
        "foreign",
        "publisher",
        "20,000 messages on channels nobody asked for",
        "skipped",
        lambda stage: stage.publish(
            [], raw=[b'{"channel":"/printers/1%d/command","data":{}}' % n for n in range(20_000)]
        ),
    ),
    Case(
        "meta",
        "publisher",
        "meta messages among the events",
        "what is not asked for is not believed",
        lambda stage: stage.publish(
            [],
            raw=[
                b'{"channel":"/meta/disconnect","successful":true}',
                b'{"channel":"/meta/handshake","successful":false}',
                b'{"channel":"/meta/subscribe","successful":false,"error":"403::no"}',
                b'{"channel":"CHANNEL","data":{},"advice":{"reconnect":"none"}}',
            ],
        ),
    ),
    Case(
        "users",
        "publisher",
        "registration events that are none",
        UNHARMED,
        lambda stage: stage.publish(
            [],
            raw=[
                b'{"channel":"%b","data":%b}' % (f"/printers/{stage.rig.printer_id}/users".encode(), data)
                for data in (b"null", b"[]", b'"{"', b'{"registration":"success"}', b'{"registration":{"a":[]}}') * 50
            ],
        ),
    ),
)

HEAD = OK + JSON
FAYE_ANSWERS: dict[str, tuple[str, Callable[[Stage], Answer]]] = {
    "endless-body": ("a body without end", lambda s: endless(s.ends, HEAD + b"\r\n[", b"{}," * 20_000)),
    "endless-head": ("a head without end", lambda s: endless(s.ends, HEAD, b"X-A: " + b"b" * 4000 + b"\r\n")),
    "endless-100": ("interim answers without end", lambda s: endless(s.ends, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500)),
    "endless-chunk": ("a chunk's size without end", lambda s: endless(s.ends, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536)),
    "drip": ("a byte each tenth of a second", lambda s: endless(s.ends, HEAD + b"\r\n", b" ", every=0.1)),
    "silent": ("nothing", lambda s: silent(s.ends)),
    "reset": ("RST", lambda _: reset),
    "bomb": ("1 GB as 1 MB of gzip", lambda _: gzipped(bomb(b"["))),
    "html": ("a page of HTML", lambda _: whole(b"<html>" + b"<p>" * 100_000, head=b"Content-Type: text/html\r\n")),
    "brackets": ("2 MB of [", lambda _: whole(b"[" * 2_000_000)),
    "commas": ("a list of 700,000 empty messages", lambda _: whole(b"[" + b"{}," * 700_000 + b"{}]")),
    "redirect": ("a redirect whose body has no end", lambda s: endless(
        s.ends, b"HTTP/1.1 302 Found\r\nLocation: /faye\r\n\r\n", b"x" * 65536)),
    "cookies": ("a thousand cookies", lambda _: whole(
        b"[]", head=JSON + b"".join(b"Set-Cookie: c%d=%b\r\n" % (n, b"v" * 40) for n in range(900)))),
    "unknown-client": ("«unknown client», always", lambda _: whole(
        b'[{"channel":"/meta/connect","successful":false,"error":"402:x:Unknown client"}]')),
    "client-id": ("a clientId of 200 kB", lambda _: whole(
        b'[{"channel":"/meta/handshake","successful":true,"version":"1.0","supportedConnectionTypes":["long-polling"],'
        b'"clientId":"%b"}]' % (b"c" * 200_000))),
    "advice-none": ("advice: never again", advice(reconnect="none")),
    "advice-times": ("advice: intervals that cannot be", advice(reconnect="retry", interval=-1e300, timeout="x" * 1000)),
    "later": ("503, in 10^9 seconds", lambda _: whole(b"", status="503 No", head=b"Retry-After: 1000000000\r\n")),
    "status-line": ("no HTTP", lambda _: raw(b"SSH-2.0-OpenSSH_9.6\r\n" * 1000)),
}  # fmt: skip
SERVER = tuple(
    Case(f"faye-{name}", "server", f"Faye: {what}", "given up; the print goes on", instead(answer),
         Control.CANCEL_LOCALLY, quick=name in ("endless-body", "bomb"))
    for name, (what, answer) in FAYE_ANSWERS.items()
)  # fmt: skip

GROUPS = (Group("publisher", PUBLISHER), Group("faye", SERVER))
__all__ = ["GROUPS", "answers"]
