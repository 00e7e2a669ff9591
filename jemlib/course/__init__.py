"""What the notebooks call: exercises with their checks, derivation steps, and claims that are measured."""

from jemlib.course import exercises  # registers the exercises
from jemlib.course.claims import claim
from jemlib.course.exercise import Verdict, check, examine, hint, solution
from jemlib.course.records import objectives_so_far, recorded_claims
from jemlib.course.verify import verify

__all__ = [
    "Verdict",
    "check",
    "claim",
    "examine",
    "exercises",
    "hint",
    "objectives_so_far",
    "recorded_claims",
    "solution",
    "verify",
]
