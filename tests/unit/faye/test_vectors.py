"""Exchanges with a server, as vectors: each names the line of docs/faye.md's checklist that it restates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.faye.vector_runner import Player

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['line']}: {v['name']}")
def test_vector(vector: dict[str, Any]) -> None:
    """The protocol answers as the vector says."""
    player = Player(vector)
    for number, step in enumerate(vector["steps"]):
        try:
            player.play(step)
        except AssertionError as error:
            raise AssertionError(f"step {number} {json.dumps(step)[:200]} at {player.now} s: {error}") from error


def test_every_line_of_the_protocols_checklist_has_vectors() -> None:
    """Lines 11 (TLS, proxies) and 15 (catching up) are not the protocol's."""
    assert {vector["line"] for vector in VECTORS} == set(range(1, 17)) - {11, 15}
    assert len(VECTORS) >= 60
    assert len({vector["name"] for vector in VECTORS}) == len(VECTORS)
