"""How the checker answers people who have not seen it: `python -m tests.adversarial.run [--lesson NN] [--verbose]`.

First each answer is compared with the reference in numbers, so that none stands in the wrong list. Then the checker
gives its verdict on each. The figures: wrong answers accepted, right ones refused, messages that name a mistake that
was not made, and the share of wrong answers whose message names the mistake or leads to it: with a word that whoever
wrote the answer expects, or with the one place that is wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import ModuleType
from typing import NamedTuple

import torch

from tests.adversarial import lessons
from tests.adversarial.answers import RATIO, Right, Wrong
from tests.adversarial.truth import define, difference, reference

# What a message measured says nothing about the mistake, but has words in it such as "first" and "shape".
MEASURED = re.compile(
    r"The largest absolute difference.*?\.(?=\s|$)|The first entry that differs.*?\.(?=\s|$)|Yours is .*?\.(?=\s|$)|"
    r"for a float\d+ input of shape \([\d, ]*\)|The call was .*?\.(?=\s|$)",
    re.IGNORECASE,
)
# A ratio leads to a forgotten factor, and so has that word of its own; its "each" and "size" name nothing.
RATIO_SENTENCE = re.compile(r"In each case your result is (the right one times) a number.*?\.(?=\s|$)")
GUARD = 20  # seconds for one verdict; a checker that needs longer counts as one that hangs


def says(message: str, word: str) -> bool:
    """Whether a word of the message begins so, in any case; of one or two letters (N, D): the word itself."""
    word = word.strip()
    start, end = ("(?<!\\w)" if word[0].isalnum() else ""), ("(?!\\w)" if len(word) < 3 else "")
    flags = 0 if len(word) < 3 else re.IGNORECASE
    return re.search(start + re.escape(word) + end, message, flags) is not None


class Seen(NamedTuple):
    """What the checker said to one answer; the state is also `hung`, `died`, or `raised`."""

    lesson: str
    answer: Wrong | Right
    state: str
    message: str

    def has(self, words: tuple[str, ...]) -> bool:
        said = RATIO_SENTENCE.sub(r"\1", MEASURED.sub("", self.message))
        return any(says(said, word) for word in words)

    @property
    def misled(self) -> bool:
        return isinstance(self.answer, Wrong) and self.state == "incorrect" and self.has(self.answer.misleading)

    @property
    def by_ratio(self) -> bool:
        """Whether all that misleads is a ratio to the right result, where no factor is off."""
        return self.misled and not self.has(tuple(set(self.answer.misleading) - set(RATIO)))

    @property
    def placed(self) -> bool:
        """Whether the message tells the one place that is wrong, found by trying what makes the answer right."""
        return self.state == "incorrect" and "Only one place is wrong" in self.message

    @property
    def named(self) -> bool:
        return isinstance(self.answer, Wrong) and self.state == "incorrect" and self.has(self.answer.words)


class Examiner:
    """The checker in a process of its own, so that a verdict that never comes, or a crash, costs one answer."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # it has imported what it needs; from here on seconds are the checker's

    def verdict(self, lesson: str, answer: Wrong | Right) -> Seen:
        try:
            self.pipe.send((lesson, answer.exercise, answer.source))
            if self.pipe.poll(GUARD):
                return Seen(lesson, answer, *self.pipe.recv())
            state, message = "hung", f"no verdict within {GUARD} s"
        except (EOFError, ConnectionError) as error:
            state, message = "died", f"the process ended: {type(error).__name__}"
        self.close()
        self._start()
        return Seen(lesson, answer, state, message)

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection) -> None:
    from jemlib.course import examine

    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, for good: what an answer prints is not what is measured
    pipe.send("ready")
    while True:
        lesson, exercise, source = pipe.recv()
        try:
            verdict = examine(define(lesson, exercise, source))
            pipe.send((verdict.state, verdict.message))
        except BaseException as error:  # whatever the checker lets through
            pipe.send(("raised", f"{type(error).__name__}: {error}"))


def misfiled(lesson: str, module: ModuleType) -> Iterator[str]:
    """Answers in the wrong list, by numbers: wrong ones that agree with the reference, right ones that do not."""
    inputs = getattr(module, "INPUTS", {})
    for answer in [*module.WRONG, *module.RIGHT]:
        if answer.exercise not in inputs:
            continue
        cases = inputs[answer.exercise](torch.Generator().manual_seed(0))
        function = define(lesson, answer.exercise, answer.source)
        differs = difference(function, reference(lesson, answer.exercise), cases)
        if isinstance(answer, Right) and differs:
            yield f"right, but differs ({differs}):\n{answer.source}"
        if isinstance(answer, Wrong) and not differs and not answer.note:
            yield f"wrong, but agrees:\n{answer.source}"


def report(seen: list[Seen], verbose: bool | None) -> None:
    """The figures, and every failure with its message; None: the figures only."""
    wrong = [s for s in seen if isinstance(s.answer, Wrong)]
    right = [s for s in seen if isinstance(s.answer, Right)]
    groups = {
        "wrong accepted": [s for s in wrong if s.state == "correct"],
        "right refused": [s for s in right if s.state != "correct"],
        "misleading": [s for s in wrong if s.misled],
        "neither named nor led to": [s for s in wrong if s.state == "incorrect" and not (s.named or s.placed)],
        "not calm": [s for s in seen if s.state in ("hung", "died", "raised")],
    }
    quiet = {None: set(groups), False: {"neither named nor led to"}, True: set()}[verbose]
    for title in [t for t in groups if t not in quiet]:
        for s in groups[title]:
            print(f"--- {title}: lesson {s.lesson}, {s.answer.exercise}\n{s.answer.source.rstrip()}\n>>> {s.message}\n")
    named, helped = sum(s.named for s in wrong), sum(s.named or s.placed for s in wrong)
    print(f"wrong accepted   {len(groups['wrong accepted']):4d} of {len(wrong)}")
    print(f"right refused    {len(groups['right refused']):4d} of {len(right)}")
    print(
        f"misleading       {len(groups['misleading']):4d} of {len(wrong)}, {sum(s.by_ratio for s in wrong)} by a ratio only"
    )
    print(f"named or leading {named:4d} of {len(wrong)} ({named / max(1, len(wrong)):.1%}), by the words expected")
    print(f"... or the place {helped:4d} of {len(wrong)} ({helped / max(1, len(wrong)):.1%})")
    print(f"not calm         {len(groups['not calm']):4d} of {len(seen)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lesson", action="append", help="two digits, such as 01; again for another; default: all")
    parser.add_argument("--verbose", action="store_true", help="also list what was neither named nor led to")
    parser.add_argument("--truth", action="store_true", help="only compare the answers with the reference, in numbers")
    options = parser.parse_args()
    known = lessons()
    if unknown := set(options.lesson or known) - set(known):
        parser.error(f"no answers for lesson {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = {lesson: known[lesson] for lesson in options.lesson or known}
    if problems := [problem for lesson, module in chosen.items() for problem in misfiled(lesson, module)]:
        print("\n".join(problems))
        sys.exit(f"{len(problems)} answers stand in the wrong list.")
    print(f"{sum(len(m.WRONG) + len(m.RIGHT) for m in chosen.values())} answers stand in the right list, by numbers.")
    if options.truth:
        return
    examiner, seen = Examiner(), {}
    for lesson, module in chosen.items():
        seen[lesson] = [examiner.verdict(lesson, answer) for answer in [*module.WRONG, *module.RIGHT]]
        print(f"=== lesson {lesson}")
        report(seen[lesson], options.verbose)
    examiner.close()
    if len(seen) > 1:
        print("=== all")
        report([s for group in seen.values() for s in group], verbose=None)


if __name__ == "__main__":
    main()
