"""Lesson 08: 08_byol_simsiam."""
