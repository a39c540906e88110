"""The configuration: command line > environment > file > default, and errors that name the file, the key and the
expectation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import EX_CONFIG, ConfigError
from agent.service.config import Config, is_loopback, load, need_server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def error(file: Path | None, environ: dict[str, str] | None = None, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {}, overrides)
    assert caught.value.exit_code == EX_CONFIG
    return str(caught.value)


def refused(file: Path, text: str) -> str:
    """The error for a file with this text, without the file's name."""
    file.write_text(text)
    said = error(file)
    assert said.startswith(f"{file}: ")
    return said.removeprefix(f"{file}: ")


def test_nothing_given_is_all_defaults() -> None:
    assert load(None, {}) == Config()


def test_the_command_line_goes_before_the_environment_before_the_file_before_the_default(file: Path) -> None:
    file.write_text("[reports]\nheartbeat_s = 11\n")
    environ = {"PRINTER_AGENT_REPORTS_HEARTBEAT_S": "12"}
    assert load(None, {}).reports.heartbeat_s == 15
    assert load(file, {}).reports.heartbeat_s == 11
    assert load(file, environ).reports.heartbeat_s == 12
    assert load(file, environ, ["reports.heartbeat_s=13"]).reports.heartbeat_s == 13
    assert load(file, environ, ["reports.heartbeat_s=13", "reports.heartbeat_s=14"]).reports.heartbeat_s == 14


def test_one_value_from_above_leaves_the_others_of_its_table(file: Path) -> None:
    file.write_text('[cloud]\nserver = "https://a"\nfaye_path = "/f"\n')
    cloud = load(file, {"PRINTER_AGENT_CLOUD_SERVER": "https://b"}).cloud
    assert (cloud.server, cloud.faye_path) == ("https://b", "/f")


@pytest.mark.parametrize(
    ("variable", "text", "key", "expected"),
    [
        ("CLOUD_SERVER", "https://h", "cloud.server", "https://h"),
        ("CLOUD_ALLOW_HTTP", "true", "cloud.allow_http", True),
        ("CLOUD_FAYE_TRANSPORT", "websocket", "cloud.faye_transport", "websocket"),
        ("PRINTER_NAME", "123", "printer.name", "123"),
        ("PRINTER_NAME", 'a "b" # c', "printer.name", 'a "b" # c'),
        ("SERIAL_BAUD", "250000", "serial.baud", 250000),
        ("SERIAL_BAUD", "auto", "serial.baud", "auto"),
        ("SERIAL_WINDOW", "4", "serial.window", 4),
        ("JOB_MAX_FILE_MB", "7", "job.max_file_mb", 7),
        ("REPORTS_PROGRESS_S", "0.5", "reports.progress_s", 0.5),
        ("SCRIPTS_PAUSE", '["M117 wait", "G1 X0"]', "scripts.pause", ("M117 wait", "G1 X0")),
        ("SCRIPTS_HOME", "[]", "scripts.home", ()),
        ("JOB_MAX_TEMPERATURE", "{ bed = 90 }", "job.max_temperature.bed", 90),
        ("MEMBER_TOKEN_FILE", "/t", "member.token_file", "/t"),
        ("LOCAL_STATUS_PAGE", "", "local.status_page", ""),
        ("LOCAL_PAGE_HOSTS", '["printer.lan"]', "local.page_hosts", ("printer.lan",)),
    ],
)
def test_a_value_from_outside_is_read_as_its_key_needs_it(variable: str, text: str, key: str, expected: Any) -> None:
    section, _, rest = key.partition(".")
    dotted = f"{section}.{variable.removeprefix(section.upper() + '_').lower()}={text}"
    for config in (load(None, {f"PRINTER_AGENT_{variable}": text}), load(None, {}, [dotted])):
        found: Any = config
        for name in (section, *rest.split(".")):
            found = getattr(found, name)
        assert found == expected
        assert type(found) is type(expected) or isinstance(found, float)


def test_the_members_token_is_no_key_of_the_configuration() -> None:
    assert load(None, {"PRINTER_AGENT_MEMBER_TOKEN": "secret", "HOME": "/", "PATH": ""}) == Config()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = [", "not TOML: "),
        ("a = " + "9" * 5_000, "not TOML: "),
        ("a = " + "[" * 5_000, "not TOML: "),
        ("[clowd]\n", "[clowd]: unknown section; the sections are cloud, member, "),
        ("[cloud]\nsevrer = 1\n", "[cloud] sevrer: unknown key; [cloud] has server, api_base, "),
        ("[cloud]\nserver = 1\n", "[cloud] server: expected str, got int"),
        ("cloud = 3\n", "[cloud]: expected table, got int"),
        ("[cloud]\nallow_http = 1\n", "[cloud] allow_http: expected bool, got int"),
        ("[scripts]\npause = 'G28'\n", "[scripts] pause: expected list, got str"),
        ("[scripts]\npause = [1]\n", "[scripts] pause[0]: expected str, got int"),
        ("[job]\nmax_file_mb = 0\n", "[job] max_file_mb: expected int >= 1"),
        ("[job]\nmax_temperature = { bett = 1 }\n", "[job] max_temperature.bett: unknown key; "),
        ("[job]\nmax_temperature = { bed = -1 }\n", "[job] max_temperature.bed: expected float > 0.0"),
        ("[watch]\nrise_s = { bed = 5 }\n", "[watch] rise_s.bed: expected float >= 60.0"),
        ("[watch]\nabove_c = { tool = 500 }\n", "[watch] above_c.tool: expected float <= 100.0"),
        ("[watch]\nmargin_c = { hotend = 9 }\n", "[watch] margin_c.hotend: unknown key; "),
        ("[watch]\nsilent_s = nan\n", "[watch] silent_s: expected float >= 60.0"),
        ("[reports]\nheartbeat_s = 60\n", "[reports] heartbeat_s: expected float <= 59.0"),
        ("[reports]\nheartbeat_s = nan\n", "[reports] heartbeat_s: expected float > 0.0"),
        ("[cloud]\nread_timeout_s = inf\n", "[cloud] read_timeout_s: expected float <= 30.0"),
        ("[cloud]\nfaye_transport = 'x'\n", "[cloud] faye_transport: got 'x'; expected long-polling or websocket"),
        ("[serial]\nbaud = 'fast'\n", "[serial] baud: got 'fast'; expected auto or a number"),
        ("[serial]\nwindow = 0\n", "[serial] window: expected int >= 1; expected auto or a number"),
        ("[serial]\nwindow = 65\n", "[serial] window: expected int <= 64; expected auto or a number"),
        ("[logs]\nlevel = 'loud'\n", "[logs] level: got 'loud'; expected debug, info, warning or error"),
        ("[cloud]\napi_base = 'v1'\n", "[cloud] api_base: expected a path like /v1, got 'v1'"),
        ("[cloud]\nfaye_path = '/a b'\n", "[cloud] faye_path: expected a path like /v1, got '/a b'"),
        ("[member]\napi_base = '/ps/v1?x'\n", "[member] api_base: expected a path like /v1, got '/ps/v1?x'"),
        ("[cloud]\nca_file = '/no/such.pem'\n", "[cloud] ca_file: no such file: /no/such.pem"),
        ("[firmware_upgrade]\ncommand = ['x']\n", "[firmware_upgrade] public_key: needed with command; "),
        ('[scripts]\npark = ["G28", "G1\\n"]\n', "[scripts] park: line 2: expected one G-code line of ASCII"),
        ('[scripts]\npark = ["G28\\nM104 S300"]\n', "[scripts] park: line 1: expected one G-code line of ASCII"),
        (f"[scripts]\nhome = ['{'G' * 81}']\n", "[scripts] home: line 1: expected one G-code line of ASCII"),
        ("[scripts]\nhome = ['G28', '? ; maybe']\n", "[scripts] home: line 2: expected a command after ?, got '?'"),
        ("[scripts]\nhome = ['??G29']\n", "[scripts] home: line 1: expected a command after ?"),
        ("[scripts]\nhome = ['M117 ä']\n", "[scripts] home: line 1: expected one G-code line of ASCII"),
    ],
)
def test_an_error_names_the_file_the_key_and_what_was_expected(file: Path, text: str, expected: str) -> None:
    assert refused(file, text).startswith(expected)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    assert error(file) == f"{file}: no such file"
    assert error(file.parent) == f"{file.parent}: cannot be read: Is a directory"


def test_a_file_that_is_not_utf_8_says_where(file: Path) -> None:
    file.write_bytes(b"# ok \xff")
    assert error(file) == f"{file}: not UTF-8 at byte 5"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("PRINTER_AGENT_CLOUD_SEVRER", "no such key; [cloud] has server"),
        ("PRINTER_AGENT_NONSENSE", "no such key; expected PRINTER_AGENT_SECTION_KEY"),
        ("PRINTER_AGENT_CLOUD", "no such key; expected PRINTER_AGENT_SECTION_KEY"),
        ("PRINTER_AGENT_", "no such key; expected PRINTER_AGENT_SECTION_KEY"),
    ],
)
def test_a_variable_that_is_no_key_is_named(variable: str, expected: str) -> None:
    assert error(None, {variable: "x"}).startswith(f"{variable}: {expected}")


def test_a_bad_value_from_the_environment_names_its_key() -> None:
    assert error(None, {"PRINTER_AGENT_SERIAL_BAUD": "quick"}).endswith(
        "[serial] baud: got 'quick'; expected auto or a number"
    )
    assert "[scripts] pause: expected list, got str" in error(None, {"PRINTER_AGENT_SCRIPTS_PAUSE": "G28"})


@pytest.mark.parametrize("override", ["cloud.server", "server=x", "=", ""])
def test_an_override_has_a_form(override: str) -> None:
    assert error(None, {}, override) == f"--set {override}: expected SECTION.KEY=VALUE"


def test_an_override_of_no_key_is_named() -> None:
    assert error(None, {}, "cloud.sevrer=x").startswith("--set cloud.sevrer: no such key; [cloud] has server")
    assert error(None, {}, "clowd.server=x").startswith("--set clowd.server: no such key; the sections are cloud")
    assert error(None, {}, "job.max_temperature.bed=9").startswith("--set job.max_temperature.bed: no such key")


def test_a_value_cannot_be_laid_into_what_is_no_table(file: Path) -> None:
    file.write_text("cloud = 3\n")
    assert error(file, {"PRINTER_AGENT_CLOUD_SERVER": "https://h"}) == "[cloud]: expected a table"


@pytest.mark.parametrize(
    "url",
    [
        "https://h",
        "https://h:8443",
        "https://h/",
        "http://localhost:1",
        "http://127.0.0.1:80",
        "http://127.9.9.9",
        "http://[::1]:9",
    ],
)
def test_https_and_plain_http_to_this_machine_are_fine(file: Path, url: str) -> None:
    file.write_text(f'[cloud]\nserver = "{url}"\n')
    assert need_server(load(file, {})) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["http://h", "http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://[::2]"],
)
@pytest.mark.parametrize("section", ["cloud", "member"])
def test_plain_http_to_another_machine_must_be_allowed(file: Path, section: str, url: str) -> None:
    said = refused(file, f'[{section}]\nserver = "{url}"\n')
    assert said == (
        f"[{section}] server: plain http would show the token to the network; use https, or set allow_http = true"
    )
    file.write_text(f'[{section}]\nserver = "{url}"\n')
    assert load(file, {"PRINTER_AGENT_CLOUD_ALLOW_HTTP": "true"})


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "h:80",
        "//h",
        "ftp://h",
        "https://",
        "https://:80",
        "https://h:x",
        "https://h:99999",
        "https://[::1",
        "https://h/v1",
        "https://h?x",
        "https://h#x",
        "https://user:geheim@h",
        "https://a b",
        "https://h\\\\@x",
    ],
)
def test_a_server_is_scheme_host_and_port_alone(file: Path, url: str) -> None:
    said = refused(file, f'[cloud]\nserver = "{url}"\n')
    assert said.startswith("[cloud] server: ")
    assert "geheim" not in said


@pytest.mark.parametrize(("host", "expected"), [("localhost", True), ("::1", True), ("h", False), ("8.8.8.8", False)])
def test_loopback_is_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_server_is_asked_for_by_name_when_it_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"\[cloud\] server: not set; expected scheme://host"):
        need_server(Config())
    assert need_server(load(None, {"PRINTER_AGENT_CLOUD_SERVER": "https://h/"})) == "https://h"


def test_the_keys_of_a_plug_in_driver_are_kept_as_they_are_for_it(file: Path) -> None:
    file.write_text('[driver]\nhost = "h"\nnozzle = { diameter_mm = 0.4 }\n')
    environ = {"PRINTER_AGENT_DRIVER_PORT": "8080", "PRINTER_AGENT_DRIVER_NAME": "shed"}
    config = load(file, environ, ["driver.on=true"])
    assert config.driver == {"host": "h", "nozzle": {"diameter_mm": 0.4}, "port": 8080, "name": "shed", "on": True}
    assert load(None, {}).driver == {}


def test_a_driver_section_that_is_no_table_is_refused(file: Path) -> None:
    assert refused(file, "driver = 3\n") == "[driver]: expected table, got int"


def test_what_an_install_command_gets_is_no_key_of_the_configuration() -> None:
    """It may call printer-agent itself."""
    environ = {f"PRINTER_AGENT_{name}": "x" for name in ("PACKAGE", "MODEL", "VERSION", "INSTALLED")}
    assert load(None, environ) == load(None, {})
