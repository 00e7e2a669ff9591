"""Lesson 10: its pictures and its widget, plain functions of plain numbers."""
