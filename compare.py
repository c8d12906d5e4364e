"""Compare paradigms on tasks: `accelerate launch compare.py --help`."""

from comparisons.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
