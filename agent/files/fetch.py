"""Download of a file over HTTP: streamed, limited in size, checked, resumed where it broke off.

The URL comes from the network and may hold a secret: only its scheme, host and path are ever shown, and none of our own
credentials (token, cookie, ~/.netrc) are sent to it. Whoever named it may not be entitled to see what is there: an
error tells the status and nothing else of an answer, neither its reason nor where it redirects to.

An attempt that fails for now is repeated, with exponential back-off and full jitter; what was received stays. With a
validator the server is asked for the rest (RFC 9110 §13.1.5, If-Range); otherwise, or if it sends the whole file
all the same, the beginning is compared with what was received.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import msgspec
import requests
import structlog
import urllib3
from requests.auth import AuthBase
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from agent.core.answer import http_date, retry_after
from agent.errors import ChangedError, CloudError, DataError
from agent.files.address import check_download_url, redact_url
from agent.files.digest import digest_from_headers
from agent.files.download_failure import TIMEOUTS, describe_failure, status_text
from agent.files.download_stream import blocks_of, decoded
from agent.files.fetch_progress import FetchProgress
from agent.files.kept_files import AlreadyHereError, Known, hide
from agent.files.spool import Downloaded, SpoolFile, ignore, never
from agent.http.content_encoding import content_encoding
from agent.http.http_session import HttpSession
from agent.server.retry import delay

HEADERS_TIMEOUT = 60.0
"""Seconds until all of the answer's headers must have arrived: nobody can cancel before."""

MAX_REDIRECTS = 5
MIN_GAIN = 16 * 1024
"""New bytes of an attempt after which the failures before it are forgotten: a server that gives a byte and breaks off
is given up like one that gives none."""

MAX_SLEEP = 0.5
"""Seconds between two checks of `cancelled` while waiting for the next attempt."""

_RETRYABLE = frozenset((408, 425, 429, *range(500, 600)))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
# None takes a header out, whatever the session would send.
_NO_CREDENTIALS = {"X-Printer-Auth-Token": None, "Authorization": None, "Cookie": None}

log = structlog.get_logger(part="download")


class RetryPolicy(msgspec.Struct, frozen=True):
    """When to stop retrying: after `attempts` failures in a row without MIN_GAIN new bytes, or `total_s` seconds in
    all."""

    attempts: int = 8
    total_s: float = 6 * 3600.0
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic


def download(
    url: str,
    target: Path,
    *,
    session: HttpSession,
    max_bytes: int,
    allow_http: bool = True,
    cancelled: Callable[[], bool] = never,
    sink: Callable[[bytes], None] = ignore,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008  (immutable)
    digest: str = "",
    boot: str = "",
    task_id: str = "",
    progress: FetchProgress | None = None,
    known: Known | None = None,
) -> Downloaded:
    """Download `url` into `target`; `sink` gets every byte once, in order, before the file gets its name.

    The file must have the digest `digest` (agent/files/digest.py) and the one in the server's headers, where there is
    one. `boot` is the machine's boot id: what a killed process of the same boot left is resumed; empty: never.
    `task_id` is for the log; `progress` hears how far it is. `known` is what is here already.

    Raises AlreadyHereError (a known file), DataError (the URL, a final status, too large, damaged, changed meanwhile),
    UnavailableError (no answer, or none that helps, after all attempts; no space), CancelledError, and whatever the
    sink raises."""
    with SpoolFile(target, max_bytes=max_bytes, cancelled=cancelled, sink=sink, boot=boot) as file:
        file.expect_digest(digest)
        fetch = _Fetch(
            url=url,
            file=file,
            session=session,
            retry=retry,
            allow_http=allow_http,
            task_id=task_id,
            progress=progress or FetchProgress(),
            known=known or Known(),
        )
        fetch.run()
        return msgspec.structs.replace(file.finish(), address=fetch.address, etag=fetch.etag)


class _Fetch:
    """One download over all its attempts."""

    def __init__(
        self,
        *,
        url: str,
        file: SpoolFile,
        session: HttpSession,
        retry: RetryPolicy,
        allow_http: bool,
        task_id: str,
        progress: FetchProgress,
        known: Known,
    ) -> None:
        self._url = url
        self._file = file
        self._session = session
        self._retry = retry
        self._allow_http = allow_http
        self._task_id = task_id
        self._progress = progress
        self._known = known
        self.address = ""  # of the last answer, after redirects
        self._validator = file.resume_partial()  # for If-Range: a strong ETag or a Last-Modified
        self._failures = 0  # in a row, without MIN_GAIN new bytes
        self._deadline = retry.monotonic() + retry.total_s

    @property
    def etag(self) -> str:
        """The strong ETag of what is fetched; empty without one."""
        return self._validator if self._validator.startswith('"') else ""

    def run(self) -> None:
        """Repeat attempts until the file is complete. Raises as `download`."""
        Retrying(
            retry=retry_if_exception_type(CloudError),
            stop=self._should_stop,
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )(self._attempt)

    def _should_stop(self, _: RetryCallState) -> bool:
        return self._failures >= self._retry.attempts or self._retry.monotonic() >= self._deadline

    def _attempt(self) -> None:
        size_before = self._file.size
        try:
            self._transfer()
        except CloudError as error:
            self._failures = 0 if self._file.size - size_before >= MIN_GAIN else self._failures + 1
            log.warning(
                "download attempt failed",
                task_id=self._task_id,
                attempt=self._failures,
                url=redact_url(self._url),
                bytes=self._file.size,
                error=str(error),
            )
            raise

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, CloudError) else None
        seconds = max(delay(max(self._failures, 1)), retry_after or 0.0)
        reason = str(error).removeprefix(f"{redact_url(self._url)}: ")
        self._progress.attempt_failed(reason, state.attempt_number + 1, seconds)
        return seconds

    def _sleep(self, seconds: float) -> None:
        """Sleep, checking `cancelled` now and then."""
        while seconds > 0:
            self._file.check_cancelled()
            step = min(seconds, MAX_SLEEP)
            self._retry.sleep(step)
            seconds -= step
        self._file.check_cancelled()

    def _transfer(self) -> None:
        file = self._file
        file.check_cancelled()
        headers: dict[str, str | None] = {**_NO_CREDENTIALS, "Accept-Encoding": "identity"}
        if file.size and self._validator:
            headers |= {"Range": f"bytes={file.size}-", "If-Range": self._validator}
        elif self._known.etag and not file.size:
            headers["If-None-Match"] = self._known.etag
        with self._request(headers) as response:
            encoding = content_encoding(response.headers.get("Content-Encoding"))
            self._accept(response, encoding)
            blocks = blocks_of(response)
            if encoding != "identity":
                blocks = decoded(blocks, encoding)
            for block in blocks:
                file.write(block)
                self._progress.received(file.size, file.total)
                if self._retry.monotonic() >= self._deadline:
                    raise CloudError(f"not done within {self._retry.total_s:.0f} s")
            if file.total is not None and file.size != file.total:
                raise CloudError(f"the transfer broke off after {file.size} of {file.total} bytes")
            if file.uncompared:
                raise ChangedError("the file changed while it was fetched: it is shorter now")

    def _request(self, headers: dict[str, str | None]) -> requests.Response:
        """Send the request and follow redirects: each URL is checked, and none inherits credentials."""
        url = self._url
        named = redact_url(self._url)
        for count in range(MAX_REDIRECTS + 1):
            failure: Exception
            try:
                address, auth = check_download_url(url, allow_http=self._allow_http)
                self.address = address
                response = self._send(address, auth, headers)
                if response.status_code not in _REDIRECTS or "Location" not in response.headers:
                    return response
                response.close()
                url = urljoin(address, response.headers["Location"])
                continue
            except DataError as error:
                failure = DataError(f"{named}: redirected to an address that is not allowed") if count else error
            except (ValueError, urllib3.exceptions.LocationParseError) as error:  # requests' URL errors are ValueErrors
                failure = DataError(f"not a usable address: {named} ({type(error).__name__})")
            except requests.RequestException as error:
                failure = CloudError(f"{named}: {describe_failure(error)}")
            raise failure  # outside of the except: requests' own error shows the whole address
        raise DataError(f"{named}: more than {MAX_REDIRECTS} redirects")

    def _send(self, address: str, auth: AuthBase, headers: dict[str, str | None]) -> requests.Response:
        """Send one request; the body has no limit in all, but the session's floor of the rate."""
        session = self._session
        response = session.send("GET", address, timeouts=TIMEOUTS, total=HEADERS_TIMEOUT, headers=headers, auth=auth)
        session.set_deadline(math.inf)
        return response

    def _accept(self, response: requests.Response, encoding: str) -> None:
        """Prepare the file for the body that status and headers announce. Raises DataError, CloudError."""
        file, status, headers = self._file, response.status_code, response.headers
        answered = f"{redact_url(self._url)}: the server answered {status_text(status)}"
        if status in _RETRYABLE:
            now = http_date(headers.get("Date"))  # the server's own clock, where it says so: ours may be years off
            asked = retry_after(headers.get("Retry-After"), time.time() if now is None else now)
            raise CloudError(answered, retry_after=asked)
        if status == 206 and "Range" in response.request.headers and encoding == "identity":
            match = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
            if not match or int(match[1]) != file.size:
                self._validator = ""  # the next attempt asks for the whole
                raise CloudError(f"{redact_url(self._url)}: the server sent another range than the one asked for")
            if match[2] != "*":
                file.set_total(int(match[2]))
            file.expect_digest(digest_from_headers(headers, whole=False))
            return
        if status == 416 and "Range" in response.request.headers:
            self._validator = ""
            raise CloudError(f"{redact_url(self._url)}: the server does not have the rest of the file")
        if status == 304 and "If-None-Match" in response.request.headers:
            self._accept_unchanged()
        if status != 200:
            raise DataError(answered)
        digest = digest_from_headers(headers, whole=True) if encoding == "identity" else ""
        if not file.size and digest.removeprefix("sha-256=") in self._known.digests:
            raise AlreadyHereError(digest.removeprefix("sha-256="))
        file.restart()
        self._validator = ""
        if encoding == "identity":
            file.expect_digest(digest_from_headers(headers, whole=True))
            etag = headers.get("ETag", "")
            self._validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
            file.record_origin(self._validator)
            length = headers.get("Content-Length", "").strip()
            if length.isascii() and length.isdigit() and len(length) <= 18:
                file.set_total(int(length))

    def _accept_unchanged(self) -> None:
        """The server's file is still the known one, if the ETag that it was asked about is of the same address. Raises
        AlreadyHereError, CloudError."""
        known, self._known = self._known, Known()
        if hide(self.address) == known.address:
            raise AlreadyHereError(known.digest)
        raise CloudError(f"{redact_url(self._url)}: the server sent nothing, for a file that is not here")
