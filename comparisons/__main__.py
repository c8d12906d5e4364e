"""`python -m comparisons`: what compare.py does, where the library is installed and its checkout is
not at hand; and `python -m comparisons pack`, see `storage.archives`, `merge`, see
`storage.merging`, and `share`, see `testing.sharing`."""

import sys


def main() -> int:
    """The command that was given; returns its exit status."""
    if sys.argv[1:2] == ["pack"]:
        from comparisons.storage.archives import main as pack

        return pack(sys.argv[2:])
    if sys.argv[1:2] == ["merge"]:
        from comparisons.storage.merging import main as merge

        return merge(sys.argv[2:])
    if sys.argv[1:2] == ["share"]:
        from comparisons.testing.sharing import main as share

        return share(sys.argv[2:])
    from comparisons.cli import main as compare

    return compare()


if __name__ == "__main__":
    raise SystemExit(main())
