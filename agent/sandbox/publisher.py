"""Publisher on an external Faye server, over HTTP: handshake once, again when the session is gone (docs/faye.md)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any

import requests

from agent.errors import CloudError

_TIMEOUT_S = 10.0
"""Seconds for each request to connect, and between two pieces of its answer."""


class ExternalPublisher:
    """Publisher on the Faye endpoint at `url`. Any thread may call; one publish at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._client_id = ""

    def publish(self, channel: str, data: dict[str, object]) -> None:
        """Publish `data` and check that the server accepted it. Raises CloudError.

        A session lives only 2 × the server's timeout, so a publish often finds it gone: then once more with a new one.
        """
        with self._lock:
            if self._client_id and self._try_publish(channel, data).get("successful") is True:
                return
            self._handshake()
            reply = self._try_publish(channel, data)
            if reply.get("successful") is not True:
                raise CloudError(
                    f"{self._url} refused to publish on {channel}: {reply.get('error', 'no reason given')}"
                )

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _try_publish(self, channel: str, data: dict[str, object]) -> Mapping[str, Any]:
        return self._ask({"channel": channel, "data": data, "clientId": self._client_id})

    def _handshake(self) -> None:
        self._client_id = ""
        reply = self._ask(
            {"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"]}
        )
        client_id = reply.get("clientId")
        if reply.get("successful") is not True or not isinstance(client_id, str):
            raise CloudError(f"{self._url} refused the handshake: {reply.get('error', 'no reason given')}")
        self._client_id = client_id

    def _ask(self, message: dict[str, object]) -> Mapping[str, Any]:
        """Send one message; returns its reply, matched by id and channel."""
        message = message | {"id": str(next(self._ids))}
        try:
            response = self._session.post(
                self._url,
                json=[message],
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
            replies = response.json() if response.status_code == 200 else None
        except (requests.RequestException, ValueError) as error:
            raise CloudError(f"{self._url} gave no Bayeux answer: {type(error).__name__}") from error
        for reply in replies if isinstance(replies, list) else []:
            if (
                isinstance(reply, dict)
                and reply.get("id") == message["id"]
                and reply.get("channel") == message["channel"]
                and "successful" in reply
            ):
                return reply
        raise CloudError(f"{self._url} gave no reply to {message['channel']} (HTTP {response.status_code})")
