"""`python -m jemlib` is the `jem` command."""

from jemlib.cli import main

if __name__ == "__main__":
    main()
