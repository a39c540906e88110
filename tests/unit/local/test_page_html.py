"""The status page: what a browser, a script and Prometheus get over a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.local import page_html
from tests.rigs.page_rig import (
    CODE,
    NASTY,
    TOKEN,
    PageRig,
    a_print,
    no_printer,
)

OUR_TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "p",
    "progress",
    "table",
    "tr",
    "th",
    "td",
    "footer",
}


@pytest.fixture(scope="module")
def printing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRig]:
    with a_print(tmp_path_factory.mktemp("printing")) as running:
        yield running


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRig]:
    with no_printer(tmp_path_factory.mktemp("offline")) as running:
        yield running


class Balanced(HTMLParser):
    """Fails on a tag that is closed wrongly; keeps the texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_page_shows_the_print_and_refreshes_itself(printing: PageRig) -> None:
    code, headers, text = printing.ask("/")
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert '<meta http-equiv="refresh"' in text
    assert int(headers["Content-Length"]) == len(text.encode())
    texts = Balanced(text).texts
    for expected in ("Left & <right>", "printing", NASTY, "42.5%", "17 of 40", "1h 23m", "205.0 °C, target 210 °C"):
        assert expected in texts
    assert texts[texts.index("Display") + 1] == "Wipe <i>nozzle</i>"
    for expected in ("60.0 °C, target off", "1234, 5 of them sent again", "printer 77, not added to an account yet"):
        assert expected in texts


def test_what_comes_from_outside_is_text_in_the_page(printing: PageRig) -> None:
    tags = Balanced(printing.ask("/")[2]).tags
    assert "b" not in tags
    assert tags <= OUR_TAGS


def test_the_policy_lets_the_browser_load_and_run_nothing(printing: PageRig) -> None:
    _, headers, text = printing.ask("/")
    policy = headers["Content-Security-Policy"]
    assert policy == page_html.POLICY
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    for external in ("http://", "https://", "src=", "href=", "url("):
        assert external not in text


def test_a_printer_that_is_offline_is_told_with_the_reason(offline: PageRig) -> None:
    texts = Balanced(offline.ask("/")[2]).texts
    assert "error: no port <found>" in texts
    assert "Job" not in texts


def test_the_json_is_the_local_sockets_status(printing: PageRig) -> None:
    code, headers, text = printing.ask("/status.json?now")
    assert (code, headers["Content-Type"]) == (200, "application/json")
    found = json.loads(text)
    assert found["data"]["job_name"] == NASTY
    assert (found["link"]["lines"], found["link"]["resends"]) == (1234, 5)
    assert found["registration"] == {"printer_id": 77, "registered": False}
    assert found["waiting_reports"] == 1


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics"])
def test_neither_the_registration_code_nor_the_token_is_shown(path: str, printing: PageRig) -> None:
    text = printing.ask(path)[2]
    assert CODE not in text
    assert TOKEN not in text
    assert "add?" not in text


def samples(text: str) -> dict[tuple[str, str], float]:
    """(name, value of the label) → value."""
    return {
        (sample.name.removeprefix("printer_agent_"), next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_the_numbers_of_the_print(printing: PageRig) -> None:
    code, headers, text = printing.ask("/metrics")
    assert code == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(text)
    assert {
        ("printer_state", "printing"): 1,
        ("printer_state", "error"): 0,
        ("job_progress", ""): 0.425,
        ("layer", ""): 17,
        ("layers", ""): 40,
        ("job_seconds_left", ""): 4980,
        ("temperature_celsius", "tool0"): 205.0,
        ("temperature_target_celsius", "tool0"): 210.0,
        ("temperature_target_celsius", "bed"): 0,
        ("serial_lines_total", ""): 1234,
        ("serial_resends_total", ""): 5,
        ("reports_waiting", ""): 1,
        ("registered", ""): 0,
        ("listening", ""): 1,
    }.items() <= found.items()
    assert all(line.startswith(("#", "printer_agent_")) for line in text.splitlines())


def test_a_number_that_is_not_known_is_no_metric(offline: PageRig) -> None:
    found = samples(offline.ask("/metrics")[2])
    assert found["printer_state", "error"] == 1
    assert not {name for name, _ in found} & {"job_progress", "layer", "temperature_celsius"}


def test_prometheus_client_is_imported_by_the_first_look_at_the_metrics_alone() -> None:
    seen = subprocess.run(
        [sys.executable, "-c", "import agent.local.status_page, sys; print('prometheus_client' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert seen.stdout == "False\n"
