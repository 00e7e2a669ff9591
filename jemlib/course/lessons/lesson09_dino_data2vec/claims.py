"""What lesson 09 claims, measured."""

from __future__ import annotations

from jemlib.course.machinery.lessons import lesson_of

LESSON = lesson_of(__name__)
