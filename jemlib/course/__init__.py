"""What the notebooks call: exercises with their checks, and claims that are measured."""

from jemlib.course import exercises  # registers the exercises
from jemlib.course.claims import claim
from jemlib.course.exercise import Verdict, check, examine, hint, solution

__all__ = ["Verdict", "check", "claim", "examine", "exercises", "hint", "solution"]
