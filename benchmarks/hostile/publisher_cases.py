"""Cases of whoever may publish on the printer's channel, and of a server that adds to its replies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.messages import Attack, Message, each, elements, injections, tree, wrong_types
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage

UNHARMED = "dropped or refused; the print goes on"


def flood(make: Callable[[int], Message], count: int, batch: int = 1000) -> Attack:
    """`count` messages; control is measured when the last of them is on its way."""

    def attack(stage: Stage) -> None:
        for at in range(0, count - batch, batch):
            stage.publish([make(number) for number in range(at, at + batch)])
        last = [make(number) for number in range(count - batch, count)]
        threading.Timer(0.2, stage.under_way.set).start()
        stage.publish(last)

    return attack


def braces(stage: Stage) -> None:
    """3 MB and 6 MB of them."""
    for megabytes in (3, 6, 3):
        stage.publish([], raw=[b'{"channel":"CHANNEL","data":%b}' % tree(megabytes)])


def unterminated(stage: Stage) -> None:
    """400 kB of a string without its end, thrice."""
    for _ in range(3):
        stage.publish([], raw=(b'{"channel":"CHANNEL","data":"' + b'\\"' * 200_000,), tail=b" ")


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


PUBLISHER = (
    Case("braces", "publisher", "one message of 3 and 6 MB of {}", "skipped undecoded", braces),
    Case(
        "settings-1000",
        "publisher",
        "1,000 settings of 20 kB under unknown names",
        "not stored",
        flood(lambda n: {"command": "settings", "task_id": f"s{n}", "settings": {f"x{n}": "y" * 20_000}}, 1000, 200),
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
        "90,000 lists in each other",
        "skipped undecoded",
        elements(
            b"[" * 90_000 + b"]" * 90_000, b'{"command":"x","settings":%b}' % (b'{"a":' * 9000 + b"1" + b"}" * 9000)
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

GROUPS = (Group("publisher", PUBLISHER),)
