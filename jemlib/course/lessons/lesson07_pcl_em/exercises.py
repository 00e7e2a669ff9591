"""Lesson 07: the exercises; `jemlib.course.machinery.answers` says how."""

from __future__ import annotations
