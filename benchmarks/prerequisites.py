"""What a benchmark needs of the machine, asked before it starts, so that it ends with a sentence."""

from __future__ import annotations

import pytest

from tests.integration.faye_support import ensure_faye


def missing_faye() -> str:
    """Why Faye's own server (npm `faye`, run by node) cannot run here; empty when it can. May install it."""
    try:
        ensure_faye()
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        return f"Faye's own server cannot run here: {error}"
    return ""
