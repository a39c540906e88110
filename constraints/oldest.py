"""Print the lowest versions that pyproject.toml allows, as requirements of pip, and the pinned pytest."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ("pytest", "pytest-timeout", "hypothesis")

project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in (*project["dependencies"], *extras["websocket"], *extras["qr"], *extras["sandbox"]):
    print(re.sub(r">=", "==", requirement))  # noqa: T201
for line in (ROOT / "constraints/test.txt").read_text(encoding="utf-8").splitlines():
    if line.partition("==")[0] in TOOLS:
        print(line)  # noqa: T201
