"""What the notebooks call: exercises with their checks, derivation steps, and claims that are measured."""

from jemlib.course.machinery import progress
from jemlib.course.machinery.claims import claim
from jemlib.course.machinery.exercises import Verdict, check, examine, hint, solution
from jemlib.course.machinery.lessons import load
from jemlib.course.machinery.records import objectives_so_far, recorded, recorded_claims
from jemlib.course.machinery.verify import verify

load("exercises")

__all__ = [
    "Verdict",
    "check",
    "claim",
    "examine",
    "hint",
    "objectives_so_far",
    "progress",
    "recorded",
    "recorded_claims",
    "solution",
    "verify",
]
