"""Check the lines of a file against the table of commands and the limits of temperature, for each firmware. Pure.

The firmware that a file is for need not be known while it arrives: what each of them would refuse is kept, and the
print is refused when it begins on one that does. A line that every firmware refuses ends the scan at once, and so does
one that the known firmware refuses.

A line that holds several commands is judged as all of them, each with all words of the line: some firmwares act on the
first alone, some on each, and some on the first G, M or T wherever it stands (docs/gcode.md «How firmwares differ»).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from agent.gcode.command_policy import (
    ALLOWED,
    BREAKS,
    DIALECTS,
    HARMLESS,
    LISTS,
    NAME_LETTERS,
    NAMES,
    NEVER,
    POLICIES,
    TEXT_LETTERS,
    UNKNOWN,
    WHOLE_TEXTS,
    Rule,
)
from agent.gcode.klipper_arguments import hot_arguments
from agent.gcode.limits import Limits
from agent.gcode.strict_reader import (
    HIGHEST,
    CodeLine,
    UnreadableError,
    Word,
    code_line,
    first_command,
    named_line,
    unprintable,
)
from agent.gcode.waiting import wants_person

LONGEST_DWELL_S: Final = 3_600.0
"""Seconds that a G4 may wait: the heaters stay on meanwhile, and nothing moves."""

UNFILLED: Final = "a placeholder was not filled in by the slicer"

_RENUMBERS = re.compile(rb"M110.*N")
_IN_TEXT = re.compile(rb"([GM])[ \t]*([-+]?)0*(\d+)(\.?\d*[EX])?")
_PRUSA = re.compile(rb"PRUSA(?![^\"]*\"[^\"]*$)")  # outside of quotes
_NAME_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_"


def judge(code: bytes, limits: Limits, dialect: str) -> tuple[str, str]:
    """Why a printer with the firmware `dialect` must not get the line, and what to warn of; both empty for a harmless
    one."""
    try:
        return _Judge(limits, dialect).line(code)
    except UnreadableError as error:
        return str(error), ""


class CommandCheck:
    """Checks lines one by one for all firmwares that have refused nothing yet."""

    def __init__(self, limits: Limits, dialect: str = "") -> None:
        """`dialect` is the firmware's that the file is for, empty when it is not known yet."""
        self._wanted = dialect
        self._judges = {name: _Judge(limits, name) for name in DIALECTS}
        self.refused: dict[str, str] = {}
        """Firmware -> whatever the caller made of the first reason to refuse the file."""

    def check(self, code: bytes) -> tuple[dict[str, str], str]:
        """What is wrong with a line: firmware -> reason, for those that have refused nothing yet; and a warning."""
        refusals = {}
        warning = ""
        for dialect, checker in self._judges.items():
            if dialect in self.refused:
                continue
            try:
                why, about = checker.line(code)
            except UnreadableError as error:
                why, about = str(error), ""
            warning = warning or about
            if why:
                refusals[dialect] = why
        return refusals, warning

    def refuse(self, refusals: Mapping[str, str]) -> str:
        """Keep them; the one that ends the scan: of the firmware that the file is for, or of the last one that is
        left. Empty: go on."""
        self.refused = {**refusals, **self.refused}
        if self._wanted:
            return refusal_of(self.refused, self._wanted)
        return "" if len(self.refused) < len(DIALECTS) else refusals[next(iter(refusals))]


def refusal_of(refused: Mapping[str, str], dialect: str) -> str:
    """The refusal of a file by `dialect`; any refusal where that firmware is not one that is told apart."""
    return refused.get(dialect, "") if dialect in DIALECTS else next(iter(refused.values()), "")


class _Judge:
    """Judges lines for one firmware."""

    def __init__(self, limits: Limits, dialect: str) -> None:
        self._limits = limits
        self._dialect = dialect
        self._policy = POLICIES[dialect]

    def line(self, code: bytes) -> tuple[str, str]:
        """See `judge`. Raises UnreadableError."""
        if person := wants_person(code):  # the driver waits itself: such a line is never sent
            return unprintable(code, text=True), f"{person} waits for a person"
        upper = code.upper()
        command, at = first_command(upper)
        if command in HARMLESS and not unprintable(code, text=False):
            found = code_line(code, upper, command, at)
            if not (found.others or found.lists or found.placeholder):
                return "", ""
        rule = self._rule(command)
        if why := unprintable(code, text=rule.text or upper[:1] == b"@") or self._misread(code, upper, command):
            return why, ""
        if upper[:1] == b"@":
            return self._host_command(code, upper)
        if not command:
            return self._without_command(upper)
        if rule.text:
            whole = command in WHOLE_TEXTS.get(self._dialect, ()) and upper[:at] == command.encode()
            letters = "" if whole else TEXT_LETTERS[self._dialect]
            why = self._forbidden(command, rule) or self._hidden(upper[at:], letters)
            return why, "" if why else _waits(command, rule)
        return self._commands(code_line(code, upper, command, at))

    def _misread(self, code: bytes, upper: bytes, command: str) -> str:
        """Why the firmware would take the line, as it stands, for something else."""
        if _RENUMBERS.search(upper):  # Marlin looks for it anywhere in a numbered line (docs/serial.md §13)
            return "the text holds «M110» and an «N»: the firmware would lose count of the lines"
        for character, meaning in BREAKS[self._dialect].items():
            if character.encode() in code:
                return f"the firmware takes «{character}» {meaning}"
        if self._dialect == "prusa" and command != "M117" and _PRUSA.search(upper):
            return self._unless("firmware", "PRUSA is for the firmware's maker")
        return ""

    def _commands(self, line: CodeLine) -> tuple[str, str]:
        if line.lists and self._dialect not in LISTS:
            return "«:» in a number", ""
        warning = UNFILLED if line.placeholder else ""
        for command in (line.command, *line.others):
            rule = self._rule(command)
            why = self._forbidden(command, rule, None if line.others else line.words)
            if not why and line.placeholder and (rule != ALLOWED or self._dialect in LISTS):
                why = UNFILLED
            if not why and rule.text and line.others:
                why = f"{command}, which takes a text, beside another command"
            if not why and rule.heats:
                why = self._heat(command, rule, line)
            if not why and rule.dwells:
                why = _dwell(command, line)
            if why:
                return why, ""
            warning = warning or _waits(command, rule)
        return "", warning

    def _rule(self, command: str) -> Rule:
        if command in ("", "T"):
            return ALLOWED
        found = self._policy.get(command)
        if found is None:  # on Klipper such a command is a macro of the printer's owner, or does nothing
            return ALLOWED if self._dialect == "klipper" else UNKNOWN
        return found

    def _forbidden(self, command: str, rule: Rule, words: Iterable[Word] | None = None) -> str:
        """Why the group of the rule forbids it; empty if it does not. `words` are None where they cannot be told from
        those of another command."""
        if not rule.group:
            return ""
        if words is not None:
            given = [_spelled(word) for word in words]
            if rule.only and not any(word[0] in rule.only for word in given):
                return ""
            if rule.safe and " ".join(given) in rule.safe:
                return ""
        return self._unless(rule.group, f"{command} {rule.does}")

    def _unless(self, group: str, why: str) -> str:
        if group == NEVER:
            return why
        return "" if group in self._limits.allow else f'{why}; allowed only with [job] allow = ["{group}"]'

    def _heat(self, command: str, rule: Rule, line: CodeLine) -> str:
        """Why the temperatures of a command that sets some must not be set."""
        if line.exponents:
            return f"{command} with a letter behind a digit that may be part of the number"
        for word in line.words:
            heater = rule.heats.get(word.letter)
            if heater is None:
                if rule.letters != "*" and word.letter not in rule.letters:
                    return f"{command} with «{word.letter}»: what it heats to then cannot be checked"
                continue
            for degrees in word.numbers:
                if why := self._limits.too_hot(heater, degrees):
                    return f"{command} {why}"
        return ""

    def _hidden(self, text: bytes, letters: str) -> str:
        """Why a text must not reach a firmware that takes up a command in it."""
        for found in _IN_TEXT.finditer(text):
            if found[1].decode() not in letters:
                continue
            number = int(found[3][:9])
            if found[2] or found[4] or number > HIGHEST:
                return "the text holds what this firmware may execute"
            command = f"{found[1].decode()}{number}"
            rule = self._policy.get(command, ALLOWED)
            if rule.heats or rule.dwells or (rule.group and self._unless(rule.group, command)):
                return f"the text holds {command}, which this firmware would execute"
        return ""

    def _host_command(self, code: bytes, upper: bytes) -> tuple[str, str]:
        """Judge a line that begins with `@`: it is for a host, but all except @pause is sent."""
        if self._dialect == "klipper":  # which passes over what stands between the line's number and a letter
            rest = upper.lstrip(bytes(set(range(128)) - set(_NAME_BYTES)))
            return self.line(rest) if rest else ("", "")
        if self._dialect == "prusa" and not set(b"GMD").isdisjoint(code):
            return "the firmware looks for a G, M or D anywhere in such a line", ""
        return self._hidden(upper, NAME_LETTERS[self._dialect]), ""

    def _without_command(self, upper: bytes) -> tuple[str, str]:
        """Judge a line that begins with a longer name."""
        if why := self._hidden(upper, NAME_LETTERS[self._dialect]):
            return why, ""
        line = named_line(upper)
        if self._dialect != "klipper":
            if line.arguments is None:
                return self._unless("extended", "not G-code: it begins with a word that is no command"), ""
            return self._unless("extended", "a name (of a macro?) is no command of this firmware"), ""
        rule = NAMES.get(line.name, ALLOWED)
        why = self._forbidden(line.name, rule) or hot_arguments(line, upper.decode("ascii"), self._limits)
        return why, "" if why else _waits(line.name, rule)


def _spelled(word: Word) -> str:
    return word.letter + ":".join(f"{number:g}" for number in word.numbers)


def _dwell(command: str, line: CodeLine) -> str:
    if line.exponents:
        return f"{command} with a letter behind a digit that may be part of the number"
    for word in line.words:
        for number in word.numbers:
            seconds = number / 1000 if word.letter == "P" else number
            if word.letter in "PS" and not 0 <= seconds <= LONGEST_DWELL_S:
                return f"{command} waits for {seconds:g} s, at most {LONGEST_DWELL_S:g} s are allowed"
    return ""


def _waits(command: str, rule: Rule) -> str:
    return f"{command} waits for a person" if rule.waits else ""
