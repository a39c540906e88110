"""Every citation leads somewhere: `docs/NAME.md §9a`, `docs/NAME.md «Heading»`, `docs/NAME.md#anchor`, relative links,
and the paths and tests that a document names.

A `§` belongs to the document named last before it in the same file; what stands behind `RFC 9110` or `Bayeux 1.0` is
not ours. Lists (`§23, 23a, 25`, `§6a, §23`) and ranges (`§8–10`) are looked up number by number.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("agent", "benchmarks", "docs", "drivers", "examples", "systemd", "tests", ".github")
SUFFIXES = (".py", ".md", ".toml", ".service", ".sh", ".rules", ".c", ".js", ".yml", ".yaml")
TELLS_THE_PAST = ("CHANGELOG.md",)

_SECTION = r"k?\d+[a-z]?"
_MARK = re.compile(
    r"(?<![\w/.])docs/(?P<name>[\w-]+)\.md(?:#(?P<anchor>[\w-]+))?"
    r"|(?P<foreign>\bRFC \d+|\bBayeux 1\.0)"
    rf"|§ ?(?P<first>{_SECTION})(?:[–-](?P<last>{_SECTION}))?"
    rf"(?P<more>(?:(?:,| and) {_SECTION}(?:[–-]{_SECTION})?(?=[,;:.)\]]|$| and))*)"
    r"|«(?P<heading>[^»]+)»",
    re.MULTILINE,
)
_ITEM = re.compile(rf"({_SECTION})(?:[–-]({_SECTION}))?")
_CHAINED = re.compile(r"(?:['’]s table)?,?(?:\s|#)*(?:and\s+)?")
_BEFORE = re.compile(r"(?P<headings>«[^»]+»(?:(?:, | and )«[^»]+»)*) of docs/(?P<name>[\w-]+)\.md")
_BARE = re.compile(r"(?<![\w/.])docs/(?P<name>[\w-]+)\.md, (?P<number>\d+[a-z]?)\b")
_ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?:agent|benchmarks|constraints|docs|drivers|examples|systemd|tests)/[\w./@-]*\w/?")
_TEST = re.compile(r"(?:[\w/]+\.py::)?(?:Test\w+::)?(test_\w+)")


@cache
def files() -> tuple[Path, ...]:
    """What may cite: sources, tests and documents, but not this file."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    found += [path for path in ROOT.iterdir() if path.suffix in SUFFIXES]
    ours = (path for path in found if path.is_file() and path != Path(__file__) and "node_modules" not in path.parts)
    return tuple(sorted(ours))


def documents() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


class Document:
    """What can be cited of a Markdown file."""

    def __init__(self, text: str) -> None:
        prose = _FENCE.sub("", text)
        self.anchors = _ANCHOR.findall(prose)
        self.headings = [re.sub(r"[`*]", "", heading) for heading in _HEADING.findall(prose)]
        self.slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    def has_heading(self, wanted: str) -> bool:
        """Whether a heading is `wanted`, or begins with it and a blank."""
        wanted = " ".join(wanted.split())
        return any(heading == wanted or heading.startswith(wanted + " ") for heading in self.headings)

    def missing(self, first: str, last: str) -> list[str]:
        """Of `§first`, or of all from `first` to `last`, those that are not there, or are in the wrong order."""
        wanted = [first]
        if last:
            prefix, low, high = first.rstrip("0123456789abcdefghij"), _number(first), _number(last)
            wanted = [first, *(f"{prefix}{number}" for number in range(low + 1, high)), last]
            if low >= high:
                return [f"{first}–{last}"]
        return [number for number in wanted if number not in self.anchors]


def _number(anchor: str) -> int:
    return int(re.sub(r"\D", "", anchor))


@cache
def document(path: Path) -> Document | None:
    """The document, or None where there is none."""
    return Document(path.read_text(encoding="utf-8")) if path.is_file() else None


class Reader:
    """Goes through a text mark by mark. `here`: the name of the document that the text is itself, if it is one."""

    def __init__(self, text: str, here: str) -> None:
        self._text = text
        self._name = here  # of the document cited last; empty: none, or one that is not ours
        self._foreign = False
        self._chain_end = -1  # where a heading of it may follow

    def read(self, mark: re.Match[str]) -> Iterator[str]:
        """What is wrong with one mark."""
        if mark["name"]:
            self._name, self._foreign, self._chain_end = mark["name"], False, mark.end()
            yield from self._read_document(mark["anchor"])
        elif mark["foreign"]:
            self._name, self._foreign, self._chain_end = "", True, -1
        elif mark["heading"]:
            yield from self._read_heading(mark)
        else:
            yield from self._read_sections(mark)

    def _found(self) -> Document | None:
        return document(ROOT / "docs" / f"{self._name}.md") if self._name else None

    def _read_document(self, anchor: str | None) -> Iterator[str]:
        found = self._found()
        if found is None:
            yield f"there is no docs/{self._name}.md"
        elif anchor and anchor not in {*found.anchors, *found.slugs}:
            yield f"docs/{self._name}.md has no #{anchor}"

    def _read_heading(self, mark: re.Match[str]) -> Iterator[str]:
        if self._chain_end < 0 or not _CHAINED.fullmatch(self._text, self._chain_end, mark.start()):
            return  # a quotation
        self._chain_end = mark.end()
        found, wanted = self._found(), re.sub(r"\n\s*#?\s*", " ", mark["heading"])
        if found is not None and not found.has_heading(wanted):
            yield f"docs/{self._name}.md has no heading «{wanted}»"

    def _read_sections(self, mark: re.Match[str]) -> Iterator[str]:
        found = self._found()
        if found is None:
            if not self._foreign:
                yield f"{mark[0]} of which document?"
            return
        for first, last in [(mark["first"], mark["last"] or ""), *_ITEM.findall(mark["more"])]:
            for number in found.missing(first, last):
                yield f"docs/{self._name}.md has no §{number}"


def wrong_citations(text: str, here: str = "") -> list[str]:
    """What `text` cites in vain, with its line."""
    reader = Reader(text, here)
    wrong = [
        f"line {text.count(chr(10), 0, mark.start()) + 1}: {problem}"
        for mark in _MARK.finditer(text)
        for problem in reader.read(mark)
    ]
    for mark in _BEFORE.finditer(text):
        found = document(ROOT / "docs" / f"{mark['name']}.md")
        wrong += [
            f"docs/{mark['name']}.md has no heading «{heading}»"
            for heading in re.findall(r"«([^»]+)»", mark["headings"])
            if found is None or not found.has_heading(heading)
        ]
    return wrong + [f"{bare[0]}: write docs/{bare['name']}.md §{bare['number']}" for bare in _BARE.finditer(text)]


def wrong_links(text: str, path: Path) -> Iterator[str]:
    """The relative links of a document at `path` that lead nowhere."""
    for target in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists():
            yield f"{target}: no such file"
        elif anchor and place.suffix == ".md":
            found = document(place)
            if found is not None and anchor not in {*found.anchors, *found.slugs}:
                yield f"{target}: no such anchor"


@cache
def known_tests() -> frozenset[str]:
    """The names of all tests, and of the files they are in without suffix."""
    folders = (ROOT / "tests", ROOT / "agent/testing")  # the second: what every driver's tests inherit
    text = {path: path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")}
    names = {
        name for each in text.values() for name in re.findall(r"^\s*(?:async )?def (test_\w+)", each, re.MULTILINE)
    }
    return frozenset(names | {path.stem for path in text})


def wrong_names(text: str) -> Iterator[str]:
    """The paths and tests between backticks that are not there."""
    for code in _CODE.findall(_FENCE.sub("", text)):
        if _PATH.fullmatch(code) and "NAME" not in code and not (ROOT / code).exists():
            yield f"{code}: no such path"
        test = _TEST.fullmatch(code)
        if test and test[1] not in known_tests():
            yield f"{code}: no such test"


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_everything_that_is_cited_is_there() -> None:
    wrong = {
        short(path): wrong_citations(
            path.read_text(encoding="utf-8"), path.stem if path.parent == ROOT / "docs" and path.suffix == ".md" else ""
        )
        for path in files()
    }
    assert {path: found for path, found in wrong.items() if found} == {}


def test_every_relative_link_leads_to_a_file() -> None:
    wrong = {short(path): list(wrong_links(path.read_text(encoding="utf-8"), path)) for path in documents()}
    assert {path: found for path, found in wrong.items() if found} == {}


def test_every_path_and_test_that_a_document_names_exists() -> None:
    wrong = {
        short(path): list(wrong_names(path.read_text(encoding="utf-8")))
        for path in documents()
        if path.name not in TELLS_THE_PAST
    }
    assert {path: found for path, found in wrong.items() if found} == {}


def test_no_anchor_is_used_twice() -> None:
    for path in documents():
        anchors = Document(path.read_text(encoding="utf-8")).anchors
        assert sorted(anchors) == sorted(set(anchors)), short(path)


def test_the_facts_that_have_a_test_are_those_of_the_document() -> None:
    tree = ast.parse((ROOT / "tests/unit/test_serial_facts.py").read_text(encoding="utf-8"))
    kept = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("FACTS", "ROWS")
    }
    text = (ROOT / "docs/serial.md").read_text(encoding="utf-8")
    assert set(kept["FACTS"]) <= set(Document(text).anchors)
    assert [row for row in kept["ROWS"] if f"\n| {row} | " not in text] == []


def test_the_glossary_names_classes_that_there_are() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files() if path.suffix == ".py")
    classes = set(re.findall(r"^class (\w+)", sources, re.MULTILINE))
    named = re.findall(r"`([A-Z]\w*[a-z]\w*)[`.(]", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"))
    assert named
    assert sorted(set(named) - classes) == []


def test_the_table_of_facts_names_modules_of_the_simulator() -> None:
    text = (ROOT / "docs/serial.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:\[§\w+\]\(#\w+\)|[a-z -]+) \| ([^|]*) \| [^|]* \| [^|]* \|$", text, re.MULTILINE)
    assert len(rows) > 40
    for cell in rows:
        for name in _CODE.findall(re.sub(r"\([^)]*\)|no `M29`|`M85`", "", cell)):
            assert (ROOT / f"drivers/simulated/{name}.py").is_file(), name


@pytest.mark.parametrize(
    "text",
    [
        "docs/serial.md §9a",
        "docs/serial.md §k1",
        "(docs/serial.md §6a, §23)",
        "docs/serial.md §23, 23a, 25).",
        "docs/serial.md §5a, 7–9b, 11, 13).",
        "docs/serial.md §8–10)",
        "docs/serial.md §8-10)",
        "docs/serial.md §11 and §12",
        "docs/faye.md §16",
        "docs/serial.md §6\n    # and more (§6a)",
        "docs/serial.md, Dialects; §8",
        "docs/protocol.md «Heartbeat»",
        "docs/protocol.md, «Reports on a\n# command», «Heartbeat»",
        "docs/protocol.md «Answers and what they mean»",
        "the tables «Reports on a command» and «Heartbeat» of docs/protocol.md",
        "docs/protocol.md#the-members-side, docs/serial.md#9a",
        "RFC 9110 §10.2.3, RFC 9110 §13",
        "docs/serial.md says «a quotation that is no heading»",
    ],
)
def test_a_good_citation_passes(text: str) -> None:
    assert wrong_citations(text) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("docs/serial.md §99", "§99"),
        ("docs/serial.md §9c", "§9c"),
        ("docs/serial.md §k9", "§k9"),
        ("docs/serial.md §6a, §77", "§77"),
        ("docs/serial.md §23, 23z, 25)", "§23z"),
        ("docs/serial.md §8–99)", "§99"),
        ("docs/serial.md §10–8", "§10–8"),
        ("docs/faye.md §17", "§17"),
        ("RFC 9110 §13, docs/serial.md §9a (§66)", "§66"),
        ("§9a", "of which document"),
        ("docs/faye.md, 10)", "write docs/faye.md §10"),
        ("docs/nowhere.md", "no docs/nowhere.md"),
        ("docs/protocol.md «Heart»", "«Heart»"),
        ("docs/protocol.md «Heartbeat», «Heartburn»", "«Heartburn»"),
        ("the tables «Reports on a task» and «Heartbeat» of docs/protocol.md", "«Reports on a task»"),
        ("docs/protocol.md#no-such-place", "#no-such-place"),
    ],
)
def test_a_wrong_citation_is_found(text: str, wrong: str) -> None:
    assert any(wrong in problem for problem in wrong_citations(text))


@pytest.mark.parametrize("target", ["nowhere.md", "docs/serial.md#99", "docs/", "#no-such-heading"])
def test_a_link_that_leads_nowhere_is_found(target: str) -> None:
    assert bool(list(wrong_links(f"[text]({target})", ROOT / "README.md"))) == (target != "docs/")


@pytest.mark.parametrize(
    "code", ["agent/nowhere.py", "test_of_nothing_at_all", "test_client.py::test_of_nothing_at_all"]
)
def test_a_name_that_is_not_there_is_found(code: str) -> None:
    assert list(wrong_names(f"see `{code}`"))
