"""A house for each lesson: its exercises, figures and claims."""
