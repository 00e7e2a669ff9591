"""`python -m jemlib` is the `jem` command."""

import sys

try:
    from jemlib.cli import main
except ModuleNotFoundError as error:  # from a checkout that nobody installed
    sys.exit(f"jem: the package {error.name} is missing; `pip install -e .` in the course folder brings it.")

if __name__ == "__main__":
    main()
