"""Cases of whoever names or serves a file to print, and of servers that take the logs."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.hostile.answers import OK, SECRET, HostileHost, bomb, endless, raw, reset, silent, take_body, whole
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.prints import short_print
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage
from tests.support.certificates import make_certificate, server_context
from tests.support.hostile_front import Answer

MAX_FILE_MB = 8
TEXT = b"Content-Type: text/plain\r\n"
SOME = b"G28\n" + b"".join(b"G1 X%d.%d F6000\n" % (n % 200, n % 10) for n in range(5000))
Make = Callable[[Stage], Answer]


def prepare(folder: Path, host: HostileHost) -> tuple[str, dict[str, Any]]:
    """A small limit of files, and a private CA."""
    certificate = make_certificate(folder)
    cloud = f'ca_file = "{folder / "cert.pem"}"\n'
    return "", {"job": f"max_file_mb = {MAX_FILE_MB}\n", "cloud": cloud, "certificate": certificate}


def job(make: Make, *, refused: bool | None = True, name: str = "part.gcode") -> Callable[[Stage], None]:
    """Submit a file that is answered so. `refused`: whether it is (None: it may); one that is printed is cancelled."""

    def attack(stage: Stage) -> None:
        path = f"/file-{len(stage.host.routes)}"
        task, ended = _submit(stage, stage.host.serve(path, make(stage)), name)
        printing = stage.rig.until(
            "it is refused or printed",
            lambda: "refused" if ended() else "printed" if stage.rig.status()["printer_status"] == "printing" else "",
            within=90.0,
        )
        if printing == "printed":
            stage.config["cancel_s"] = stage.act("cancel")
        end = stage.rig.ended(task)
        assert refused is None or (end["data"]["state"] == "failed") is refused, end
        _nothing_told(stage, str(stage.rig.reports(task)))

    return attack


def cancelled(make: Make) -> Callable[[Stage], None]:
    """Submit a file that hangs, and cancel it: the agent acts on it at once."""

    def attack(stage: Stage) -> None:
        path = f"/file-{len(stage.host.routes)}"
        task, _ = _submit(stage, stage.host.serve(path, make(stage)), "hangs")
        stage.rig.until("it is asked for", lambda: stage.host.asked(path), within=20.0)
        stage.ends.wait(0.7)
        stage.config["cancel_s"] = stage.act("cancel", by_log=True)
        assert stage.rig.ended(task, within=10.0)["job_status"] == "canceled"

    return attack


def _submit(stage: Stage, url: str, name: str) -> tuple[str, Callable[[], bool]]:
    """Submit a job; its task, and whether that has ended."""
    task = str(stage.rig.member.submit_job(stage.rig.printer_id, url, name)["task_id"])

    def ended() -> bool:
        reports = stage.rig.reports(task)
        return bool(reports) and bool(reports[-1]["progress"] == 1)

    return task, ended


def _nothing_told(stage: Stage, reports: str) -> None:
    """Nothing of what an inner server answered came out, and no credentials went in."""
    assert SECRET not in reports, f"the reports have what the server answered: {reports[-500:]}"
    assert SECRET not in stage.rig.log(), "the log has what the server answered"
    sent = [
        head for _, heads in list(stage.host.heads) for head in heads if head.lower() in ("authorization", "cookie")
    ]
    assert not sent, f"credentials were sent: {sent}"


def packed(text: bytes, megabytes: int = 3) -> Make:
    """A file of that."""
    return lambda _: whole(
        bomb(b"G28\n", text * (1_000_000 // len(text)), megabytes), head=TEXT + b"Content-Encoding: gzip\r\n"
    )


def plain(body: bytes) -> Make:
    """A file as it is."""
    return lambda _: whole(body, head=TEXT)


def redirected(to: str) -> Make:
    """A redirect with the secret as its body."""
    return lambda _: whole(SECRET.encode(), status="302 Found", head=b"Location: %b\r\n" % to.encode())


def over_tls(stage: Stage) -> None:
    """A file from a host with a certificate of the owner's own CA."""
    wanted = short_print()
    body = ("\n".join(wanted) + "\n").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole(body, head=TEXT)(self)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context: ssl.SSLContext = server_context(stage.config["certificate"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="tls", daemon=True)
    thread.start()
    try:
        stage.begin_record()
        task, _ = _submit(stage, f"https://127.0.0.1:{server.server_port}/f", "tls")
        end = stage.rig.ended(task)
        assert end["job_status"] == "completed", end
        stage.compare(wanted, whole=True)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)


FILES: dict[str, tuple[str, Make, bool | None]] = {
    "bomb-lines": ("200 MB of lines as gzip", packed(b"G1 X1 Y1\n", 200), True),
    "bomb-line": ("a line of 200 MB as gzip", packed(b"G", 200), True),
    "endless": ("lines without end", lambda s: endless(s.ends, OK + TEXT + b"\r\n", b"G1 X1\n" * 10_000), True),
    "endless-line": ("a line without end", lambda s: endless(s.ends, OK + TEXT + b"\r\n", b"G" * 65536), True),
    "endless-comment": ("a comment without end", lambda s: endless(s.ends, OK + TEXT + b"\r\n;", b"c" * 65536), True),
    "layers": ("100,000 layers", packed(b";LAYER_CHANGE\nG1 X1\n"), None),
    "percents": ("200,000 M73", packed(b"M73 P50 R9\n"), None),
    "tools": ("T0 and T1, 166,000 times", packed(b"T0\nT1\n", 1), None),
    "modes": ("G90, G91, M82, M83, 200,000 times", packed(b"G90\nM83\nG91\nM82\n", 1), None),
    "blank": ("nothing but line ends", packed(b"\n", 2), None),
    "comments": ("nothing but comments", packed(b"; key = value\n"), None),
    "thumbnails": ("thumbnails that never end", packed(b"; thumbnail begin 9x9 9\n; QUJD\n"), None),
    "nul": ("NULs", plain(b"\0" * 1_000_000), True),
    "binary": ("a program", plain(b"\x7fELF" + bytes(range(256)) * 1000), True),
    "html": ("a page", plain(b"<html>" + b"<p>G1 X1</p>\n" * 1000), True),
    "utf-16": ("UTF-16", plain("G28\nG1 X1\n".encode("utf-16") * 100), True),
    "empty": ("nothing", plain(b""), True),
    "m112": ("M112 in the last line", plain(SOME + b"M112\n"), True),
    "hot": ("M104 S99999", plain(SOME + b"M104 S99999\n"), True),
    "hot-hidden": ("m 1 0 9 s 9 9 9", plain(SOME + b"n5 m109 s999*1\n"), True),
    "inner": ("the answer of an inner server", plain(SECRET.encode() + b"\n"), True),
    "inner-error": ("the error of an inner server", lambda _: whole(SECRET.encode(), status=f"404 {SECRET}"), True),
    "redirect-file": ("a redirect to file:///etc/passwd", redirected("file:///etc/passwd"), True),
    "redirect-private": ("a redirect to a link-local address", redirected("http://169.254.169.254/latest"), True),
    "redirect-names": ("a redirect to 127.1 in other words", redirected("http://[::ffff:10.0.0.1]/"), True),
    "redirect-loop": ("a redirect to itself", redirected("/file-loop"), True),
    "redirect-body": (
        "a redirect whose body has no end",
        lambda s: endless(s.ends, b"HTTP/1.1 302 F\r\nLocation: http://10.0.0.1/\r\n\r\n", b"x" * 65536),
        True,
    ),
    "encoding": ("an encoding that there is not", lambda _: whole(SOME, head=b"Content-Encoding: lol\r\n"), True),
    "gzip-garbage": (
        "gzip that is none",
        lambda _: whole(b"\x1f\x8b" + b"\0" * 9999, head=b"Content-Encoding: gzip\r\n"),
        None,
    ),
    "size": (
        "a Content-Length of 10^15",
        lambda s: endless(s.ends, OK + b"Content-Length: 1000000000000000\r\n\r\n", b"G1 X1\n" * 10_000),
        True,
    ),
}

HANGING: dict[str, tuple[str, Make]] = {
    "drip": ("a byte each tenth of a second", lambda s: endless(s.ends, OK + TEXT + b"\r\n", b"G", every=0.1)),
    "head-drip": ("a head that drips", lambda s: endless(s.ends, OK, b"X", every=0.1)),
    "endless-head": ("a head without end", lambda s: endless(s.ends, OK, b"X: " + b"y" * 4000 + b"\r\n")),
    "silent": ("nothing", lambda s: silent(s.ends)),
    "broken-off": ("a byte, and RST", lambda _: reset),
    "later": ("503, in 10^9 seconds", lambda _: whole(b"", status="503 N", head=b"Retry-After: 999999999\r\n")),
    "lies": ("half of what was promised, always", lambda _: raw(OK + b"Content-Length: 99999\r\n\r\nG1 X1\n")),
}


def uploads(make: Make, count: int = 1) -> Callable[[Stage], None]:
    """Have the logs sent there."""

    def attack(stage: Stage) -> None:
        path = f"/logs-{len(stage.host.routes)}"
        url = stage.host.serve(path, make(stage))
        tasks = [stage.rig.command("logs", upload_url=url) for _ in range(count)]
        stage.rig.until("the logs are sent", lambda: stage.host.asked(path), within=20.0)
        stage.ends.wait(0.5)
        stage.under_way.set()
        stage.told.append(lambda: _nothing_told(stage, "".join(str(stage.rig.reports(task)) for task in tasks)))
        stage.ends.wait(60.0)

    return attack


FOUND = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\n\r\n"
UPLOADS: dict[str, tuple[str, Make, int]] = {
    "redirect": ("a redirect whose body has no end", lambda s: take_body(endless(s.ends, FOUND, b"x" * 65536)), 1),
    "endless": ("an answer without end", lambda s: take_body(endless(s.ends, OK + b"\r\n", b"x" * 65536)), 1),
    "head": ("a head without end", lambda s: take_body(endless(s.ends, OK, b"X: " + b"y" * 4000 + b"\r\n")), 1),
    "drip-32": ("32 uploads to a server that drips", lambda s: endless(s.ends, OK + b"\r\n", b" ", every=0.1), 32),
    "silent": ("a server that takes nothing", lambda s: silent(s.ends), 1),
    "inner": (
        "the answer of an inner server as data.url",
        lambda _: take_body(whole(b'{"url":"%b"}' % SECRET.encode())),
        1,
    ),
    "private": ("a redirect to a link-local address", lambda _: take_body(redirected("http://169.254.169.254/")(_)), 1),
    "reset": ("RST", lambda _: reset, 1),
}

CASES = (
    *(
        Case(
            f"file-{name}",
            "host of files",
            what,
            "refused or bounded; nothing of the answer is told",
            job(make, refused=refused),
            Control.OWN,
        )
        for name, (what, make, refused) in FILES.items()
    ),
    Case(
        "file-name",
        "publisher",
        "a job's name of escape sequences",
        "made printable",
        job(plain(SOME), refused=False, name="\u202ecode.\x1b[2J"),
        Control.OWN,
    ),
    *(
        Case(f"file-{name}", "host of files", what, "a cancel is acted on at once", cancelled(make), Control.OWN)
        for name, (what, make) in HANGING.items()
    ),
    *(
        Case(
            f"logs-{name}",
            "server of logs",
            what,
            "pause and cancel are served; nothing of the answer is told",
            uploads(make, count),
            Control.PAUSE,
        )
        for name, (what, make, count) in UPLOADS.items()
    ),
    Case(
        "file-own-ca",
        "owner",
        "a file over TLS from a CA of the owner's own",
        "printed whole: ca_file counts for files",
        over_tls,
        Control.OWN,
    ),
)

GROUPS = (Group("files", CASES, prepare),)
