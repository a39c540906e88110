"""Body of a download as a stream of blocks, with its Content-Encoding undone."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import requests
import urllib3

from agent.errors import CloudError, DataError
from agent.files.download_failure import describe_failure
from agent.files.spool import BLOCK
from agent.http.content_encoding import KNOWN, ContentEncodingError, Inflater


def blocks_of(response: requests.Response) -> Iterator[bytes]:
    """Blocks of the answer as they come. Raises CloudError.

    read1 returns with what is there, so that a slow sender does not hide a cancel."""
    read = response.raw.read1
    failure = ""
    while not failure:
        try:
            block = read(BLOCK, decode_content=False)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            failure = describe_failure(error)
        else:
            if not block:
                return
            yield block
    raise CloudError(f"the transfer broke off: {failure}")


def decoded(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Undo a Content-Encoding that was not asked for, in bounded pieces. Raises DataError, CloudError."""
    if encoding not in KNOWN:
        raise DataError("the server sent the file with an unknown Content-Encoding")
    inflater = Inflater(encoding)
    for block in blocks:
        try:
            yield from inflater.feed(block)
        except ContentEncodingError as error:
            raise DataError(f"the server sent {error}") from None
    if not inflater.complete:
        raise CloudError(f"the transfer broke off inside the {encoding} stream")
