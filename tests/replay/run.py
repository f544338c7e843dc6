#!/usr/bin/env python3
"""Replay equivalence by hand: random histories for hours, or one again.

    run.py --seconds 3600 --jobs 2 --seed 5     as many histories as fit
    run.py --seed 5 --history 17                that one, verbosely
    run.py --seed 5 --history 17 --minimise     the shortest that still differs
    run.py --script FILE                        a history kept as text

Exit status 1 when a difference was found.
"""

import argparse
import faulthandler
import json
import os
import random
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
# The tree's own package only where it has been built: else the installed one.
BUILT = [TREE] if any((TREE / "routenotify").glob("_routenotify*.so")) else []
for place in (HERE, HERE.parent, *BUILT):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

HANG = 120  # seconds after which a history is hung
MANY = 20  # histories of which one overruns, and one merges
KEEP = 20  # differences after which there is no point in going on


def _arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--at-least",
        type=int,
        default=0,
        help=f"fail if fewer ran, or if of {MANY} and more none overran or merged",
    )
    parser.add_argument("--history", type=int, default=None)
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--tries", type=int, default=2, help="runs per attempt")
    parser.add_argument("--script", type=Path, default=None)
    parser.add_argument("--print", action="store_true", help="only print it")
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("--rates", action="store_true", help="success per operation")
    parser.add_argument(
        "--memory", action="store_true", help="memory runs out at random places"
    )
    parser.add_argument("--no-state", action="store_true", help="ignore dead, linkdown")
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _check_memory(wanted: bool) -> None:
    from replaylab import memory

    if wanted and not memory.can_fail():
        sys.exit("this wants a build with ROUTENOTIFY_TEST_ALLOC=1")


# One worker ------------------------------------------------------------


def _say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def _work(options: argparse.Namespace, first: int, step: int) -> None:
    from replaylab import generate, history

    end = time.monotonic() + options.seconds
    number = first
    while time.monotonic() < end:
        _say(start=number)
        faulthandler.dump_traceback_later(HANG, exit=True)
        made = generate.generate(options.seed, number, memory=options.memory)
        result = history.run(made, state=not options.no_state)
        _say(
            history=number,
            problems=result.problems,
            report=result.report() if result.problems else "",
            changes=result.changes,
            overruns=result.overruns,
            conflated=result.conflated,
            seconds=result.seconds,
            tried=result.tried,
            failed=result.failed,
        )
        number += step
    faulthandler.cancel_dump_traceback_later()


# Many workers ------------------------------------------------------------


class _Tally:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.count = self.changes = self.overruns = self.conflated = 0
        self.differences = 0
        self.tried: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.begin = time.monotonic()

    def add(self, words: dict[str, Any]) -> None:
        self.count += 1
        self.changes += words["changes"]
        self.overruns += words["overruns"]
        self.conflated += words["conflated"]
        self.tried.update(words["tried"])
        self.failed.update(words["failed"])
        if words["problems"]:
            self.difference(words["report"])

    def difference(self, text: str) -> None:
        self.differences += 1
        print(text, flush=True)

    def check_enough(self) -> None:
        """Many histories without a difference mean little if they were too tame."""
        wanted = self.options.at_least
        if self.count < wanted:
            self.difference(f"{self.count} histories ran, not {wanted}")
        if not wanted or self.count < MANY:
            return
        for what, count in (("overrun", self.overruns), ("merge", self.conflated)):
            if not count:
                self.difference(f"not one {what} in {self.count} histories")

    def summary(self) -> str:
        seconds = time.monotonic() - self.begin
        return (
            f"seed {self.options.seed}: {self.count} histories in {seconds:.0f} s"
            f" ({self.count / seconds * 3600:.0f} per hour), {self.changes} changes,"
            f" {self.overruns} overruns, {self.conflated} conflated,"
            f" {self.differences} differences"
        )

    def rates(self) -> str:
        return "\n".join(
            f"{label:20} {tried:7} tried, {1 - self.failed[label] / tried:4.0%} worked"
            for label, tried in sorted(self.tried.items())
        )


class _Worker:
    def __init__(self, options: argparse.Namespace, first: int, step: int) -> None:
        self.step = step
        argv = [sys.executable, __file__, "--worker", str(first), str(step)]
        argv += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
        argv += ["--no-state"] if options.no_state else []
        argv += ["--memory"] if options.memory else []
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.number = first

    @property
    def pipe(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def read(self, tally: _Tally) -> bool:
        """One line; False at the end."""
        line = self.pipe.readline()
        if not line:
            return False
        words = json.loads(line)
        self.number = words.get("start", self.number)
        if "history" in words:
            tally.add(words)
        return True

    def died(self) -> int:
        """Exit status, once it has ended."""
        return self.process.wait(10)


def _many(options: argparse.Namespace) -> int:
    print(f"seed {options.seed}", flush=True)
    tally = _Tally(options)
    end = tally.begin + options.seconds
    workers = [_Worker(options, n, options.jobs) for n in range(options.jobs)]
    try:
        while workers and (options.keep_going or tally.differences < KEEP):
            readable, _, _ = select.select([w.pipe for w in workers], [], [], HANG * 2)
            if not readable:
                tally.difference("workers are silent")
                break
            for worker in [w for w in workers if w.pipe in readable]:
                if worker.read(tally):
                    continue
                workers.remove(worker)
                if worker.died() == 0:
                    continue
                tally.difference(
                    f"seed {options.seed} history {worker.number}: the process"
                    f" ended with {worker.process.returncode}"
                )
                options.seconds = end - time.monotonic()
                if options.seconds > 0:
                    after = worker.number + worker.step
                    workers.append(_Worker(options, after, worker.step))
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
    tally.check_enough()
    if options.rates:
        print(tally.rates())
    print(tally.summary(), flush=True)
    return 1 if tally.differences else 0


# One history -----------------------------------------------------------


def _one(options: argparse.Namespace) -> int:
    from replaylab import generate, history, minimise, script

    if options.script is not None:
        text = options.script.read_text(encoding="utf-8")
        made = script.parse(text, options.script.name)
        _check_memory(any(step.kind == "memory" for step in made.steps))
    else:
        made = generate.generate(options.seed, options.history, memory=options.memory)
    if options.print:
        print(made.script(), end="")
        return 0
    faulthandler.dump_traceback_later(3600 if options.minimise else HANG, exit=True)
    if options.minimise:
        made = minimise.minimise(made, tries=options.tries, state=not options.no_state)
        print(made.script(), end="")
    for _ in range(options.tries):
        result = history.run(made, state=not options.no_state)
        if result.problems:
            print(result.report())
            return 1
    print(f"{made.name}: no difference, {result.changes} changes")
    return 0


def main() -> int:
    """Do what the arguments say."""
    options = _arguments()
    _check_memory(options.memory)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    if options.worker is None and options.history is None and options.script is None:
        return _many(options)
    from replaylab import space

    space.become_privileged()
    os.environ.setdefault("LC_ALL", "C")
    if options.worker is not None:
        _work(options, *options.worker)
        return 0
    return _one(options)


if __name__ == "__main__":
    sys.exit(main())
