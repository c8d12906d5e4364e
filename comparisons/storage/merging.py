"""`python -m comparisons merge ARCHIVE… --out FOLDER`: runs that were made elsewhere, put into a
results folder.

All archives are looked through before the folder changes. A finished run is never replaced, an
unfinished one only by one that is finished or further; what gives way is set aside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from comparisons.storage.archives import STUDY, ArchiveError, unpack
from comparisons.storage.run_folder import RunFolder, StoreError, folder_trouble
from comparisons.storage.tensors import Damaged, load_checkpoint, load_tensors
from foundations.command import Parser
from foundations.errors import USAGE, one_line
from foundations.records.reading import collect, read_json, read_spec, write_table
from foundations.records.spec import canonical


@dataclass(frozen=True)
class Stored:
    """A run as it was found: its folder, what to call the place, whether it is finished, and how
    many steps its checkpoint has (0 without one)."""

    folder: RunFolder
    place: str
    complete: bool
    steps: int

    @property
    def name(self) -> str:
        """The run's."""
        return self.folder.path.name


@dataclass
class Merged:
    """Names of runs: newly there and finished; newly there and unfinished; there already; and of
    those, to which files were added."""

    finished: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    added_to: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = f" ({len(self.added_to)} with files added)" if self.added_to else ""
        return (
            f"{len(self.finished)} finished and {len(self.unfinished)} unfinished runs merged,"
            f" {len(self.there)} were there already{more}"
        )


def merge(archives: Sequence[Path], out: Path) -> Merged:
    """Put the runs of archives into a results folder and renew its table. ArchiveError where an
    archive can't be trusted, where a run is finished in two places with unlike results, or is being
    worked on; StoreError or OSError where the folder can't be written to."""
    merged = Merged()
    with _staging(out) as staging:
        best: dict[str, Stored] = {}
        mine: dict[str, Stored] = {}
        beside: dict[str, list[Stored]] = {}
        for number, archive in enumerate(archives):
            for name in unpack(archive, staging / str(number)):
                new = _looked_through(staging / str(number), name, str(archive))
                own = mine.get(name) or _own(out, new)
                if own:
                    mine[name] = own
                old = best.get(name) or own
                if old is None:
                    best[name] = new
                    continue
                best[name], other = _chosen(old, new)
                if best[name].complete and other.complete:
                    beside.setdefault(name, []).append(other)
        for name, chosen in best.items():
            if chosen is mine.get(name):
                merged.there.append(name)
            else:
                _put(chosen, RunFolder(out, chosen.folder.spec))
                (merged.finished if chosen.complete else merged.unfinished).append(name)
            for other in beside.get(name, ()):
                if other is not mine.get(name) and _add(other, RunFolder(out, other.folder.spec)):
                    merged.added_to += [name] if name in merged.there else []
        for number in range(len(archives)):
            for name in STUDY:
                if (staging / str(number) / name).exists() and not (out / name).exists():
                    os.replace(staging / str(number) / name, out / name)
    write_table(out, collect(out)[0])
    return merged


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder beside the runs, on their file system; without a trace where nothing was merged."""
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".merging-", dir=out) as folder:
            yield Path(folder)
    finally:
        if new and not any(out.iterdir()):
            out.rmdir()


def _looked_through(folder: Path, name: str, archive: str) -> Stored:
    """A run of an archive; ArchiveError unless it is whole and what its name says."""
    path = folder / "runs" / name
    try:
        spec = read_spec(path)
        if spec.run_id != name:
            raise ValueError(f"its spec is of run {spec.run_id}")
        run = RunFolder(folder, spec)
        if run.result_path.exists() and not run.complete:
            raise ValueError("result.json is not a whole result of this run")
        for tensors in path.rglob("*.safetensors"):
            load_tensors(tensors)
        return Stored(run, archive, run.complete, _steps(run))
    except Damaged as error:
        raise ArchiveError(f"{archive}: {name} is damaged ({_inside(error, folder)})") from error
    except (ValueError, OSError) as error:
        why = "it has no spec.json" if isinstance(error, FileNotFoundError) else one_line(error)
        raise ArchiveError(f"{archive}: {name} can't be used: {why}") from error


def _inside(error: Damaged, folder: Path) -> str:
    return one_line(error).replace(f"{folder}{os.sep}", "")


def _steps(run: RunFolder) -> int:
    """How far its training is; rounds of pruning that come before it count as none."""
    stored = load_checkpoint(run.checkpoint_path)
    return int(stored[1].get("step", 0)) if stored else 0


def _own(out: Path, new: Stored) -> Stored | None:
    """The same run in the results folder; None where nothing of it is there."""
    run = RunFolder(out, new.folder.spec)
    if not run.begun:
        return None
    try:
        steps = _steps(run)
    except Damaged:  # then anything is further
        steps = -1
    return Stored(run, str(out), run.complete, steps)


def _chosen(old: Stored, new: Stored) -> tuple[Stored, Stored]:
    """(which of the two stays, the other). ArchiveError where both are finished and not alike."""
    if canonical(old.folder.spec) != canonical(new.folder.spec):
        raise ArchiveError(f"{old.name} has unlike settings in {old.place} and in {new.place}")
    if old.complete and new.complete:
        apart = _unlike(old.folder, new.folder)
        if apart:
            raise ArchiveError(
                f"{old.name} is finished in {old.place} and in {new.place}, and not alike"
                f" ({apart}): merge one of them alone, or take the run out of the other"
            )
        return old, new
    if new.complete or (not old.complete and new.steps > old.steps):
        return new, old
    return old, new


def _unlike(old: RunFolder, new: RunFolder) -> str:
    """What two results of one run differ in, "" where in nothing."""
    first, second = (read_json(run.result_path) for run in (old, new))
    names = sorted(n for n in {*first, *second} if first.get(n) != second.get(n))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _put(chosen: Stored, target: RunFolder) -> None:
    """Move a run into the results folder, its result last; what it replaces is set aside."""
    with target.claim() as mine:
        if not mine:
            raise ArchiveError(f"{target.path} is being worked on by a process: try again later")
        if target.path.exists():
            target.set_aside_all(f"gave way to the same run of {chosen.place}")
        _add(chosen, target)


def _add(chosen: Stored, target: RunFolder) -> bool:
    """Move what the target lacks, the result last. Returns whether it lacked anything."""
    source = chosen.folder.path
    files = [p for p in sorted(source.rglob("*")) if p.is_file()]
    files.sort(key=lambda path: path.name == "result.json")
    added = False
    for path in files:
        place = target.path / path.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            target.check()
            os.replace(path, place)
            added = True
    return added


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 2 with one line on what is wrong."""
    parser = Parser(
        prog="python -m comparisons merge",
        description=(
            "Put runs that were made elsewhere (archives of python -m comparisons pack, or of"
            " python -m benchmarks --campaign) into a results folder. A finished run is never"
            " replaced."
        ),
    )
    parser.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="results folder")
    options = parser.parse_args(arguments)
    try:
        merged = merge(options.archives, options.out)
    except (ArchiveError, StoreError, OSError) as error:
        trouble = folder_trouble(options.out, error) or error
        print(f"{parser.prog}: {one_line(trouble)}", file=sys.stderr)
        return USAGE
    print(f"{merged}; the page: python -m reports {options.out}")
    return 0
