"""Mutation test: makes small mistakes in the modules that carry promises, one at a time, and runs the tests that have
to notice (`make mutants`).

    python -m benchmarks.mutants [--changed [BASE]] [--module PART]… [--limit-s N] [--fresh] [--every]

The mistakes are a seeded sample, the same until the code of a function changes. A result is kept in .bench/mutants/ and
holds as long as the module and the test that noticed (for a survivor: all its tests) are as they were. A survivor that
is not in survivors.toml fails the run, and so does an entry there that is noticed now.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from subprocess import run

import msgspec

from benchmarks.mutants.mutations import Mutant
from benchmarks.mutants.plan import ROOT, SEED, Module, digest, modules, sample, survivors
from benchmarks.mutants.trial import Outcome, Trials

RESULTS = ROOT / ".bench" / "mutants" / "results.json"
SLICE_S = 90
"""Of --changed: no trial begins later than this many seconds after the start."""
GRACE_S = 25
"""One that has begun has so many seconds more; what it says is not known when they are over."""
SLICE = 4
"""Of --changed, where git knows no base: the mutants of so many modules."""


FIRST = 4
"""So many files of tests run first, and the others only when none of them has noticed."""


class Kept(msgspec.Struct, frozen=True):
    """A result, and the digest of the files for which it holds."""

    outcome: Outcome
    module: str
    tests: str


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a mutant survived that the list does not know, or the list is out of date."""
    options = _options(arguments)
    plan = [module for module in modules() if not options.module or any(part in module.path for part in options.module)]
    listed = survivors()
    began = time.monotonic()
    if options.changed is None:
        work = [(module, one) for module in plan for one in sample(module, every=options.every)]
    else:
        work = _slice(plan, options.changed)
    limit_s = options.limit_s or (None if options.changed is None else SLICE_S)
    deadline = began + limit_s if limit_s else math.inf
    results = _run(work, {} if options.fresh else _load(), deadline)
    return _report(work, results, set(listed), whole=options.changed is None and not options.every)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument(
        "--changed", nargs="?", const="", metavar="BASE", help="only modules that differ from BASE, for two minutes"
    )
    parser.add_argument("--module", action="append", default=[], help="only modules with this in their path")
    parser.add_argument("--limit-s", type=float, help="begin no trial later than this")
    parser.add_argument("--fresh", action="store_true", help="forget the results that are kept")
    parser.add_argument("--every", action="store_true", help="every mutant, not the sample")
    return parser.parse_args(arguments)


def _slice(plan: list[Module], base: str) -> list[tuple[Module, Mutant]]:
    """The mutants of the modules that have changed; without a base those of SLICE modules, always the same."""
    changed = _changed_files(base)
    ordered = sorted(plan, key=lambda module: sha256(f"{SEED}:{module.path}".encode()).hexdigest())
    chosen = ordered[:SLICE] if changed is None else [module for module in ordered if module.path in changed]
    return [(module, one) for module in chosen for one in sample(module)]


def _changed_files(base: str) -> set[str] | None:
    """Paths that differ from the base in the working tree; None where git knows no base."""
    candidates = [base] if base else [*_merge_base("origin/main"), "HEAD~1"]
    for one in candidates:
        told = run(["git", "-C", ROOT, "diff", "--name-only", one, "--"], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return set(told.stdout.split())
    return None


def _merge_base(branch: str) -> list[str]:
    """Where HEAD left a branch; empty when there is none, or HEAD is on it."""
    found = [
        run(["git", "-C", ROOT, *command], capture_output=True, text=True, check=False).stdout.strip()
        for command in (["merge-base", "HEAD", branch], ["rev-parse", "HEAD"])
    ]
    return [found[0]] if found[0] and found[0] != found[1] else []


def _run(work: list[tuple[Module, Mutant]], kept: dict[str, Kept], deadline: float) -> dict[str, Outcome]:
    trials = Trials(RESULTS.parent)
    usual: dict[tuple[str, ...], float] = {}
    outcomes: dict[str, Outcome] = {}
    for number, (module, mutant) in enumerate(work, 1):
        old = kept.get(mutant.key)
        if old is not None and _holds(old, module):
            outcomes[mutant.key] = old.outcome
            continue
        within = deadline + GRACE_S - time.monotonic()
        if within < GRACE_S:
            continue
        if module.tests not in usual:
            baseline = trials.preload(module, within)
            if baseline.status == "timeout":
                break
            if baseline.status != "survived":
                print(f"{trials.output}\n{module.path}: its tests fail without any mistake: {baseline.by}", flush=True)
                baseline = msgspec.structs.replace(baseline, cpu_s=math.nan)
            usual[module.tests] = baseline.cpu_s
        limit_s = 8 + 3 * usual[module.tests]
        if math.isnan(limit_s):  # a mistake would always be noticed
            outcomes[mutant.key] = Outcome("error", 0.0)
            continue
        tests = _order(module, old)
        outcome = trials.run(module, mutant.tree(), limit_s, within=within, tests=tests[:FIRST])
        if outcome.status == "survived" and tests[FIRST:]:
            outcome = trials.run(module, mutant.tree(), limit_s, within=within, tests=tests[FIRST:])
        if outcome.status == "timeout" and time.monotonic() >= deadline + GRACE_S:
            break
        outcomes[mutant.key] = outcome
        kept[mutant.key] = Kept(outcome, digest(module.path), _tests_digest(module, outcome))
        _save(kept)
        print(
            f"{number}/{len(work)} {outcome.status} {outcome.seconds} s {mutant.line} {mutant.key} {outcome.by}",
            flush=True,
        )
    return outcomes


def _order(module: Module, old: Kept | None) -> list[str]:
    """The tests, beginning with the file that noticed the last time."""
    first = old.outcome.by.partition("::")[0] if old is not None else ""
    return sorted(module.tests, key=lambda path: path != first)


def _holds(kept: Kept, module: Module) -> bool:
    return kept.module == digest(module.path) and kept.tests == _tests_digest(module, kept.outcome)


def _tests_digest(module: Module, outcome: Outcome) -> str:
    by = outcome.by.partition("::")[0]
    return digest(by) if by and (ROOT / by).is_file() else digest(*module.tests)


def _load() -> dict[str, Kept]:
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Kept]) if RESULTS.exists() else {}


def _save(kept: dict[str, Kept]) -> None:
    part = RESULTS.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
    part.replace(RESULTS)


def _report(work: list[tuple[Module, Mutant]], outcomes: dict[str, Outcome], listed: set[str], *, whole: bool) -> int:
    count = Counter(one.status for one in outcomes.values())
    alive = [mutant for _, mutant in work if mutant.key in outcomes and outcomes[mutant.key].status == "survived"]
    new = [mutant for mutant in alive if mutant.key not in listed]
    noticed = sorted(key for key, one in outcomes.items() if key in listed and one.status == "killed")
    gone = sorted(_gone(listed, work)) if whole else []
    noticed_count = count["killed"] + count["timeout"]
    print(
        f"{len(outcomes)} of {len(work)} mutants tried: {noticed_count} noticed ({count['timeout']} by hanging), "
        f"{count['survived']} survived, {len(new)} of them new; {100 * noticed_count / max(1, len(outcomes)):.1f} %"
    )
    if count["error"]:
        print(f"{count['error']} of them have tests that fail without any mistake")
    _list("survived, and not in benchmarks/mutants/survivors.toml", (f"{one.path_and_line}: {one.key}" for one in new))
    _list("in survivors.toml, but noticed", noticed)
    _list("in survivors.toml, but no mutant of the sample", gone)
    return 1 if new or noticed or gone or count["error"] else 0


def _gone(listed: set[str], work: list[tuple[Module, Mutant]]) -> Iterable[str]:
    present = {mutant.key for _, mutant in work}
    tried = {module.path for module, _ in work}
    return (key for key in listed if key not in present and key.partition(":")[0] in tried)


def _list(title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        print(f"{title}:", *found, sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
