"""`python -m comparisons`: what compare.py does, where the library is installed and its checkout is
not at hand."""

from comparisons.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
