"""HTML of the status page: the running agent's `status` for a browser. Pure; every value is escaped."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape as escape_html
from typing import Any

from agent import __version__
from agent.core.printable import printable
from agent.local.status_text import asked, format_duration, is_file_on_its_way

REFRESH = 5  # seconds between two reloads by the browser

_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:34rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}
.state{font-size:1.1rem;margin:.3rem 0 1rem}
.error{color:#c62828}
progress{width:100%;height:1.2rem}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;width:9rem}
th,td{padding:.3rem 0;border-bottom:1px solid #8884;vertical-align:top;overflow-wrap:anywhere}
footer{margin-top:1.5rem;font-size:.8rem;opacity:.7}
"""

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: nothing is loaded, nothing is run; the page's own style alone is applied."""


def escape(text: str) -> str:
    """Escape a value for HTML, with what is not printable made visible."""
    return escape_html(printable(text))


def page(status: Mapping[str, Any]) -> str:
    """Format the whole page. `status` is the answer to the local socket's `status`."""
    title = escape(status.get("printer") or "3D printer")
    state = str(status["printer_status"])
    message = f": {status['error_message']}" if status.get("error_message") else ""
    kind = "state error" if state == "error" else "state"
    rows = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _rows(status))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH}">
<title>{title}: {escape(state)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="{kind}">{escape(state + message)}</p>
{_bar(status)}<table>
{rows}
</table>
<footer>printer-agent {escape(__version__)}, updated every {REFRESH} seconds</footer>
</body>
</html>
"""


def _bar(status: Mapping[str, Any]) -> str:
    if "job_progress" not in status:
        return ""
    done = float(status["job_progress"])
    return f'<p><progress max="1" value="{done:.4f}" aria-label="progress">{done:.1%}</progress></p>\n'


def _rows(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data: Mapping[str, Any] = status.get("data", {})
    if status.get("job_id"):
        yield "Job", str(data.get("job_name") or status["job_id"])
        yield "Job status", str(status.get("job_status") or "fetching the file")
    if "job_progress" in status:
        yield "Progress", f"{status['job_progress']:.1%}"
    if data.get("total_lines"):
        yield "Layer", f"{data['layer']} of {data['total_layers']}"
        yield "Line", f"{data['line']} of {data['total_lines']}"
    if "seconds_left" in data:
        yield "Time left", format_duration(data["seconds_left"])
    if data.get("ui_sub_state") and not status.get("error_message"):
        yield "File" if is_file_on_its_way(status) else "Waiting for", str(data["ui_sub_state"])
    if data.get("prompt"):
        yield "The printer asks", asked(data["prompt"])
    if status.get("display"):
        yield "Display", str(status["display"])
    if "bed" in data:
        yield "Bed", "confirmed clear" if data["bed"] == "clear" else "not confirmed clear"
    for name, heater in data.get("temperatures", {}).items():
        target = f"{heater['target']:.0f} °C" if heater["target"] else "off"
        yield f"Heater {name}", f"{heater['actual']:.1f} °C, target {target}"
    yield from _about(status)


def _about(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, name in (("machine", "Machine"), ("firmware", "Firmware"), ("port", "Port")):
        if status.get(key):
            yield name, str(status[key])
    link = status["link"]
    yield "Serial lines", f"{link['lines']}, {link['resends']} of them sent again"
    registration = status["registration"]
    if "printer_id" not in registration:
        yield "Cloud", f"not registered: {registration.get('reason') or 'the server has not answered yet'}"
    else:
        state = "registered" if registration.get("registered") else "not added to an account yet"
        connection = "" if status["listening"] else ", not connected now"
        yield "Cloud", f"printer {registration['printer_id']}, {state}{connection}"
    yield "Reports waiting", str(status["waiting_reports"])
