"""The machinery of the course: exercises and their checks, claims and their runs, records."""
