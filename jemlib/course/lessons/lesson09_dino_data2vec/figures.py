"""Lesson 09: its pictures and its widget, plain functions of plain numbers."""
