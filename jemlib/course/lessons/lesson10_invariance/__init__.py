"""Lesson 10: 10_invariance."""
