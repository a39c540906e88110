"""Have pytest explain the asserts of the driver contract as it explains those of a test module."""

import pytest

pytest.register_assert_rewrite("agent.testing")
