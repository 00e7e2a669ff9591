"""Lesson 00: the exercises, with their wrong and other right answers."""

from __future__ import annotations

LESSON = "00_start_here"
