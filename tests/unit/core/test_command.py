"""A message from the channel becomes one of a closed set of commands, or a rejection with a reason; nothing escapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from agent.core.command import (
    KEPT_SETTINGS,
    MAX_DEPTH,
    MAX_MESSAGE,
    MAX_NODES,
    MAX_SETTINGS,
    Command,
    Name,
    Rejection,
    parse,
)

ID = "7b0b6a0e-4f6c-4a55-9d5b-6a8f5a1f0001"
URL = "https://files.example.com/a%20part.gcode?sig=1"
URL_KEY = {
    Name.PRINT_DATA: "file_url",
    Name.FIRMWARE_UPGRADE: "package_url",
    Name.LOG: "upload_url",
    Name.LOGS: "upload_url",
}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
near_urls = st.sampled_from(
    [
        URL,
        "http://h",
        "ftp://h/a",
        "https://",
        "//h/a",
        "file:///etc/passwd",
        "http://[::1",
        "http://h:x/",
        "http://a b",
    ]
)
near_ids = st.sampled_from([ID, ".", "..", "a/b", "a\n", "", "~", "a" * 128, "a" * 129, "%2e", "\ud800", "a\\b"])
objects = st.fixed_dictionaries(
    {},
    optional={
        "task_id": near_ids | values,
        "command_token": near_ids | values,
        "command": st.sampled_from([*Name, "fly", "\n", "\ud800"]) | values,
        "job_id": near_ids | values,
        "job_name": values,
        "file_url": near_urls | values,
        "package_url": near_urls | values,
        "upload_url": near_urls | values,
        "settings": values | st.dictionaries(st.just("Settings"), values, max_size=1),
        "Settings": values,
        "spooled": st.just("other.gcode"),
        "choice": values,
        "prompt_id": values,
    },
)


def message(**fields: object) -> dict[str, Any]:
    return {"task_id": ID, **fields}


def refused(found: Command | Rejection) -> Rejection:
    assert isinstance(found, Rejection), found
    return found


def taken(found: Command | Rejection) -> Command:
    assert isinstance(found, Command), found
    return found


def check(found: object) -> None:
    """What is true of whatever comes out."""
    assert isinstance(found, Command | Rejection)
    msgspec.json.encode(found)  # it can be written down
    if found.task_id:
        assert found.task_id not in (".", "..")
        assert PurePosixPath(found.task_id).name == found.task_id
        assert found.task_id.isascii()
        assert found.task_id.isprintable()
        assert not set(found.task_id) & set("/\\ ?#%")
        assert len(found.task_id) <= 128
    if isinstance(found, Rejection):
        assert found.reason
        return
    assert found.task_id
    assert found.spooled == ""
    assert isinstance(found.settings, dict)
    if found.url or found.name in URL_KEY:
        assert urlsplit(found.url).scheme in ("http", "https")
        assert urlsplit(found.url).hostname


@given(values)
def test_any_json_value_gives_a_command_or_a_rejection(value: object) -> None:
    check(parse(value))


@given(st.binary(max_size=200))
@example(b"\xff")
@example(b'{"task_id": "\xff"}')
def test_any_bytes_give_a_command_or_a_rejection(data: bytes) -> None:
    check(parse(data))


@given(st.text(max_size=200))
@example("\ud800")
@example("1e999")
@example("[" * 10_000)
def test_any_text_gives_a_command_or_a_rejection(text: str) -> None:
    check(parse(text))


@given(objects)
def test_anything_like_a_command_gives_a_command_or_a_rejection(fields: dict[str, Any]) -> None:
    check(parse(fields))


@given(objects)
def test_an_object_and_the_string_that_holds_it_mean_the_same(fields: dict[str, Any]) -> None:
    try:
        text = msgspec.json.encode(fields).decode()
    except UnicodeEncodeError:
        return  # such a one never comes out of JSON
    plain = parse(msgspec.json.decode(text))
    assert parse(text) == plain
    assert parse(text.encode()) == plain
    assert parse(json.dumps(text)) == plain  # the message is a string that holds the JSON


@given(objects, st.dictionaries(st.text(max_size=12).map("x_".__add__), values, max_size=4))
def test_unknown_keys_change_nothing(fields: dict[str, Any], more: dict[str, Any]) -> None:
    assert parse({**more, **fields}) == parse(fields)


@pytest.mark.parametrize("name", list(Name))
def test_each_command_of_the_table_is_known(name: Name) -> None:
    fields = message(command=str(name))
    if name in URL_KEY:
        fields[URL_KEY[name]] = URL
    if name is Name.RESPOND:
        fields["choice"] = 0
    found = taken(parse(fields))
    assert found.name is name
    assert found.url == (URL if name in URL_KEY else "")


def test_the_table_has_exactly_the_commands_of_the_protocol() -> None:
    assert {str(name) for name in Name} == {
        "print_data",
        "pause",
        "resume",
        "cancel",
        "reset",
        "calibrate",
        "home",
        "park",
        "log",
        "logs",
        "settings",
        "request_settings",
        "firmware_upgrade",
        "dismiss",
        "cool",
        "respond",
    }


def test_a_command_that_is_not_in_the_table_keeps_what_it_was_called() -> None:
    found = taken(parse(message(command="levitate")))
    assert (found.name, found.raw_name, found.task_id) == (None, "levitate", ID)


@pytest.mark.parametrize("key", ["task_id", "command_token"])
def test_very_old_servers_call_the_task_id_command_token(key: str) -> None:
    assert taken(parse({key: ID, "command": "pause"})).task_id == ID


def test_a_task_id_of_null_is_none_at_all() -> None:
    assert taken(parse({"task_id": None, "command_token": ID, "command": "pause"})).task_id == ID


def test_the_task_id_goes_before_the_command_token() -> None:
    assert taken(parse({"task_id": "a", "command_token": "b", "command": "pause"})).task_id == "a"


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../a", "a b", "a\n", "a" * 129, "ä", "%2e%2e", 7, True, ["a"]])
def test_a_task_id_that_is_no_safe_file_name_is_refused_without_an_answer(bad: object) -> None:
    found = refused(parse({"task_id": bad, "command": "pause"}))
    assert found.task_id == ""
    assert "task_id" in found.reason


@pytest.mark.parametrize("bad", [None, "", 3, "x" * 101, "a\nb", "\ud800"])
def test_a_command_without_a_usable_name_can_be_answered(bad: object) -> None:
    found = refused(parse(message(command=bad)))
    assert (found.task_id, found.code, found.reason) == (ID, 400, "command: expected a name")


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        7,
        "a.gcode",
        "ftp://h/a",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "http:///a",
        "http://h:99999/",
        "http://h:x/",
        "http://[::1",
        "http://h/a b",
        "http://h/a\nX: y",
        "http://h/" + "a" * 8192,
    ],
)
@pytest.mark.parametrize("name", list(URL_KEY))
def test_an_address_that_is_not_http_is_refused_by_its_key(name: Name, bad: object) -> None:
    found = refused(parse(message(command=str(name), **{URL_KEY[name]: bad})))
    assert (found.task_id, found.code, found.raw_name) == (ID, 422, str(name))
    assert found.reason.startswith(f"{URL_KEY[name]}: ")


def test_an_address_that_the_command_does_not_need_is_not_looked_at() -> None:
    assert taken(parse(message(command="pause", file_url="file:///etc/passwd"))).url == ""


@pytest.mark.parametrize(("given_id", "expected"), [("121333sdsd", "121333sdsd"), (123, "123"), (None, ""), ("", "")])
def test_a_job_id_is_an_opaque_string(given_id: object, expected: str) -> None:
    assert taken(parse(message(command="pause", job_id=given_id))).job_id == expected


@pytest.mark.parametrize("bad", [True, 1.5, ["a"], {"a": 1}, "a\nb", "a" * 257, pytest.param(10**5000, id="huge")])
def test_a_job_id_that_is_no_short_text_is_refused(bad: object) -> None:
    found = refused(parse(message(command="pause", job_id=bad)))
    assert found.code == 422
    assert found.task_id == ID


@pytest.mark.parametrize(
    "fields",
    [
        {"settings": {"a": 1}},
        {"Settings": {"a": 1}},
        {"settings": {"Settings": {"a": 1}}},
        {"settings": {"Settings": {"a": 1}, "a": 2}},
        {"settings": '{"a": 1}'},
        {"settings": '{"Settings": {"a": 1}}'},
        {"settings": None, "Settings": {"a": 1}},
    ],
)
def test_settings_come_in_every_form(fields: dict[str, Any]) -> None:
    assert taken(parse(message(command="settings", **fields))).settings == {"a": 1}


@pytest.mark.parametrize("bad", [[], 7, True, "x", "[]", {"Settings": 7}, {"a": "x" * MAX_SETTINGS}, {"a": "\ud800"}])
def test_settings_that_are_no_object_of_bounded_size_are_refused(bad: object) -> None:
    found = refused(parse(message(command="settings", settings=bad)))
    assert (found.task_id, found.code) == (ID, 422)
    assert found.reason.startswith(("settings: ", "not JSON"))


def test_settings_in_the_nested_form_may_stand_beside_others() -> None:
    given = {"Settings": {"JobName": "cube", "speed_percent": 90}, "flow_percent": 95, "speed_percent": 10}
    found = taken(parse(message(command="print_data", file_url=URL, settings=given))).settings
    assert found == {"flow_percent": 95, "speed_percent": 90, "JobName": "cube"}


def nested(depth: int) -> str:
    inner = '{"a":' * depth + "1" + "}" * depth
    return f'{{"task_id":"{ID}","command":"settings","settings":{inner}}}'


def test_settings_may_be_nested_so_deep_and_no_deeper() -> None:
    """What is read on one thread is written down and read again on others, whose stacks are not the same."""
    assert taken(parse(nested(MAX_DEPTH))).settings
    assert "nested" in refused(parse(nested(MAX_DEPTH + 1))).reason
    assert refused(parse(nested(500))).code == 422
    refused(parse(nested(100_000)))


def test_a_message_that_is_too_long_is_not_read() -> None:
    assert str(MAX_MESSAGE) in refused(parse(b'{"a": "' + b"x" * MAX_MESSAGE + b'"}')).reason


def test_nothing_from_the_network_names_a_file_here() -> None:
    assert taken(parse(message(command="print_data", file_url=URL, spooled="secret.gcode"))).spooled == ""


PRINT = {"command": "print_data", "file_url": URL}


def test_a_job_name_that_cannot_be_shown_is_left_out() -> None:
    assert taken(parse(message(**PRINT, job_name="\x1b[2J"))).job_name == "a part.gcode"
    assert taken(parse(message(**PRINT, job_name="a" * 300))).job_name == "a" * 200
    assert taken(parse(message(command="print_data", file_url="http://h/%1b[2J", job_name="\n"))).job_name == ""


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"job_name": "cube", "JobName": "other"}, "cube"),
        ({"JobName": "cube"}, "cube"),
        ({"settings": {"JobName": "cube"}}, "cube"),
        ({"settings": {"Settings": {"JobName": "cube"}, "speed_percent": 100}}, "cube"),
        ({"settings": '{"Settings": {"JobName": "cube"}}'}, "cube"),
        ({"Settings": {"JobName": "cube"}}, "cube"),
        ({"job_name": None, "settings": {"JobName": 5}}, "a part.gcode"),
        ({}, "a part.gcode"),
        ({"file_url": "https://h/"}, ""),
        ({"file_url": "https://h/x/a%2Fb.gcode?name=secret"}, "a/b.gcode"),
    ],
)
def test_a_job_has_its_name_from_any_of_these_places(fields: dict[str, Any], name: str) -> None:
    assert taken(parse(message(**{**PRINT, **fields}))).job_name == name


@pytest.mark.parametrize(
    ("fields", "job_id"),
    [
        ({"file_url": "ftp://h/a", "job_id": "j"}, "j"),
        ({"file_url": URL, "settings": [], "job_id": 123}, "123"),
        ({"file_url": URL, "file_md5": "no"}, ID),
        ({"file_url": URL, "job_id": ["j"]}, ""),
    ],
)
def test_a_print_that_cannot_be_read_says_which_job_it_is(fields: dict[str, Any], job_id: str) -> None:
    """docs/protocol.md «The life of a task»: without a job_id the task_id serves as one."""
    assert refused(parse(message(command="print_data", **fields))).job_id == job_id


def test_a_command_that_is_no_print_has_no_job_id_but_its_own() -> None:
    assert refused(parse(message(command="logs", upload_url="x"))).job_id == ""
    assert refused(parse(message(command=7, job_id="j"))).job_id == "j"


@pytest.mark.parametrize("form", [str, str.encode])
def test_a_command_of_too_many_values_is_refused_undecoded(form: Callable[[str], str | bytes]) -> None:
    text = f'{{"task_id": "{ID}", "command": "pause", "x": [{",".join(["{}"] * MAX_NODES)}]}}'
    found = parse(form(text))
    assert isinstance(found, Rejection)
    assert found.reason == f"the message has more than {MAX_NODES} values"


def test_of_large_settings_the_known_ones_are_kept() -> None:
    wanted = {"JobName": "x" * 1000, "slicer": "y" * (KEPT_SETTINGS + 1), "flow_percent": 90}
    kept = taken(parse(message(command="print_data", file_url="https://h/x", settings=wanted))).settings
    assert kept == {"flow_percent": 90, "JobName": "x" * 1000}


@pytest.mark.parametrize("choice", [0, 99, "Continue", "1", "Weiter ⏵"])
@pytest.mark.parametrize(("prompt", "prompt_id"), [(None, UNSET), (7, 7), ("1795285030", 1795285030)])
def test_an_answer_has_a_choice_and_perhaps_the_prompt_that_it_is_for(
    choice: object, prompt: object, prompt_id: object
) -> None:
    found = taken(parse(message(command="respond", choice=choice, prompt_id=prompt)))
    assert (found.choice, found.prompt_id) == (choice, prompt_id)


@pytest.mark.parametrize("choice", [None, "", True, -1, 100, 0.0, "x" * 61, "M112\n", [0], {"choice": 0}])
def test_what_is_no_choice_is_refused(choice: object) -> None:
    assert refused(parse(message(command="respond", choice=choice))).code == 422


@pytest.mark.parametrize("prompt", ["", 0, -1, True, 1.0, "7x", "9" * 19, 1 << 53, [7]])
def test_what_is_no_prompt_is_refused(prompt: object) -> None:
    assert refused(parse(message(command="respond", choice=0, prompt_id=prompt))).code == 422


def test_a_choice_of_another_command_is_not_looked_at() -> None:
    assert taken(parse(message(command="pause", choice=[], prompt_id="?"))).choice is UNSET
