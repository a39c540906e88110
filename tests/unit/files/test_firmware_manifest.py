"""Manifests of firmware packages: what is one, which versions are older, and that nothing else gets through."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import DataError
from agent.files.firmware_manifest import (
    FORMAT,
    MAX_MANIFEST,
    MAX_PACKAGE,
    Manifest,
    check_model,
    check_version,
    encode,
    parse,
    version_key,
)

GOOD: dict[str, Any] = {"format": FORMAT, "model": "Mk-3", "version": "2.1.3", "size": 5, "sha256": "0" * 64}
VERSIONS = st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=8).map(lambda parts: ".".join(map(str, parts)))

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def manifest(version: str = "1", model: str = "Mk-3") -> Manifest:
    return Manifest(model=model, version=version, size=1, sha256="0" * 64)


def test_a_manifest_is_read_as_it_was_written() -> None:
    made = parse(msgspec.json.encode(GOOD))
    assert (made.model, made.version, made.size, made.sha256) == ("Mk-3", "2.1.3", 5, "0" * 64)
    assert parse(encode(made)) == made


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "something else"}, "format is 'something else'"),
        ({"model": ""}, "model"),
        ({"model": "m" * 101}, "model"),
        ({"model": "Mk\x1b[2J"}, "model"),
        ({"version": "2.1.3-rc1"}, "expected numbers with dots"),
        ({"version": "2..1"}, "expected numbers with dots"),
        ({"version": "\u0663"}, "expected numbers with dots"),  # a digit elsewhere
        ({"version": ""}, "expected numbers with dots"),
        ({"version": "1" * 10}, "expected numbers with dots"),
        ({"version": 2}, "version"),
        ({"size": 0}, "0 bytes"),
        ({"size": MAX_PACKAGE + 1}, f"{MAX_PACKAGE + 1} bytes"),
        ({"size": "5"}, "size"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "G" * 64}, "sha256"),
        ({"more": 1}, "more"),
        ({"model": "m" * MAX_MANIFEST}, "the limit"),
        ({"\x1b[31m": 1}, r"^[ -~]{20,250}$"),
        ({"x" * 2000: 1}, r"^[ -~]{20,250}$"),
    ],
)
def test_what_cannot_be_a_manifest_is_refused_with_the_reason(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        parse(msgspec.json.encode({**GOOD, **change}))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 4000, b'{"format":'])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        parse(data)


@MANY
@given(
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from(list(GOOD)), st.text() | st.integers()).map(msgspec.json.encode)
)
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with suppress(DataError):  # anything else fails the test
        parse(data)


@MANY
@given(
    st.fixed_dictionaries({key: st.just(value) | st.text() | st.integers() | st.none() for key, value in GOOD.items()})
)
def test_what_is_taken_can_be_compared_and_written_again(fields: dict[str, Any]) -> None:
    try:
        made = parse(msgspec.json.encode(fields))
    except DataError:
        return
    assert parse(encode(made)) == made
    check_version(made, made.version)


@pytest.mark.parametrize(
    ("older", "newer"), [("1", "2"), ("1.9", "1.10"), ("2.1", "2.1.1"), ("2.0.9", "2.1"), ("9", "10.0")]
)
def test_versions_are_compared_number_by_number(older: str, newer: str) -> None:
    check_version(manifest(newer), older)
    with pytest.raises(DataError, match=f"version {older}, and {newer} was installed"):
        check_version(manifest(older), newer)


@MANY
@given(VERSIONS)
def test_zeros_at_the_end_of_a_version_do_not_count(version: str) -> None:
    assert version_key(f"{version}.0.0" if version.count(".") < 6 else version) == version_key(version)
    check_version(manifest(version), "")


def test_a_model_is_the_same_in_upper_and_lower_case() -> None:
    check_model(manifest(model="Mk-3"), "MK-3")
    with pytest.raises(DataError, match="for the model 'Mk-3', and this printer is 'Mk-4'"):
        check_model(manifest(model="Mk-3"), "Mk-4")


def test_a_size_of_any_length_makes_a_short_text() -> None:
    data = msgspec.json.encode({**GOOD, "size": 7}).replace(b":7", b":" + b"7" * 3000)
    with pytest.raises(DataError, match="bytes; expected 1 to") as caught:
        parse(data)
    assert len(str(caught.value)) < 100
