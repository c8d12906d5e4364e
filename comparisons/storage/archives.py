"""Results folders as archives: what is worth sending of one, and nothing but that taken from
another.

`python -m comparisons pack FOLDER ARCHIVE` writes one, `python -m comparisons merge` takes it in.
An archive is a ZIP file of runs/<run_id>/…, with the study's study.json and verdicts.json. It may
come from anywhere: names, kinds, sizes and checksums are looked at before a file is made.
"""

from __future__ import annotations

import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from comparisons.storage.run_folder import RunFolder, folder_trouble
from foundations.command import Parser
from foundations.errors import USAGE, one_line
from foundations.files import part_of
from foundations.records.reading import read_spec

#: Of a finished run: what must travel for it to count, and what travels where there is room.
RECORDS = ("spec.json", "made.json", "metrics.jsonl", "answers.safetensors", "result.json")
BESIDE = ("inside.safetensors", "examples.safetensors", "model.safetensors")
#: Of a study, at the top of its folder.
STUDY = ("study.json", "verdicts.json")
_RUN = r"runs/(?P<run>[A-Za-z0-9_.]{1,120}-s[0-9]{1,10}-[0-9a-f]{12})"
_FILES = "|".join(map(re.escape, (*RECORDS, *BESIDE)))
_KNOWN = re.compile(
    rf"(?:{'|'.join(map(re.escape, STUDY))})"
    rf"|{_RUN}/(?:{_FILES}|checkpoint/[a-z0-9]{{1,40}}\.(?:safetensors|jsonl))"
)
#: Of all that an archive holds: more is a mistake, or an attack.
MOST_FILES, MOST_BYTES = 20_000, 4 << 30
_CHUNK = 1 << 20
_LINK = 0o120000


class ArchiveError(ValueError):
    """An archive that is not what `pack` writes, or that can't be merged; the message is one
    line."""


def pack(
    out: Path,
    archive: Path,
    finished: Iterable[RunFolder],
    unfinished: Iterable[RunFolder] = (),
    most: int = 16 << 20,
    beside: Sequence[str] = BESIDE,
) -> list[str]:
    """Write an archive of at most `most` bytes, whole or not at all. Returns the names of runs that
    had no room, in whole or in part.

    finished: of these the records, then those files of `beside` for which there is room, kind by
    kind. unfinished: of these all that is needed to go on; of finished runs among them, their
    checkpoints as well.
    """
    groups: list[tuple[str, list[Path]]] = [
        ("", [path for name in STUDY if (path := out / name).exists()])
    ]
    for folder in unfinished:
        held = [folder.path / name for name in (*RECORDS, *BESIDE)]
        held += sorted((folder.path / "checkpoint").glob("*.*"))
        groups.append((folder.path.name, [path for path in held if path.exists()]))
    finished = list(finished)
    for folder in finished:
        held = [folder.path / name for name in RECORDS]
        groups.append((folder.path.name, [path for path in held if path.exists()]))
    for name in beside:
        groups += [(f.path.name, [p]) for f in finished if (p := f.path / name).exists()]
    left_out: list[str] = []
    part = part_of(archive)
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            room = most - 1024  # the directory's end
            for run, paths in groups:
                names = [path.relative_to(out).as_posix() for path in paths]
                if not all(map(_KNOWN.fullmatch, names)):
                    names = [name for name in names if _KNOWN.fullmatch(name)]
                need = sum(_packed(out / name) + 2 * len(name) + 200 for name in names)
                if need > room:
                    left_out += [run]
                    continue
                room -= need
                for name in names:
                    file.write(out / name, name)
        part.replace(archive)
    finally:
        part.unlink(missing_ok=True)
    return list(dict.fromkeys(left_out))


def _packed(path: Path) -> int:
    """Bytes of a file in the archive, as it is and never more than it is."""
    packer, size = zlib.compressobj(6), 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(packer.compress(chunk))
    return size + len(packer.flush()) + 64


def unpack(archive: Path, into: Path) -> list[str]:
    """Take the files of an archive out, into an empty folder. Returns the names of its runs.

    ArchiveError where it holds a name that no results folder has, a path that leads outside, a
    link, a name twice, more than it may, or bytes that are not those that were packed.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            _check(archive, members)
            for member in members:
                _take_out(file, member, into / member.filename)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise ArchiveError(f"{archive} is no whole archive ({one_line(error)})") from error
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ArchiveError(f"{archive} can't be read ({error.strerror})") from error
    found = (_KNOWN.fullmatch(member.filename) for member in members)
    return list(dict.fromkeys(match["run"] for match in found if match and match["run"]))


def _check(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """ArchiveError unless every member is a file that a results folder has, each once, and all
    together of a size that one has."""
    names: set[str] = set()
    for member in members:
        name = member.filename
        if member.external_attr >> 16 & 0o170000 == _LINK:
            raise ArchiveError(f"{archive} holds a link, {name!r}: nothing was taken from it")
        if not _KNOWN.fullmatch(name) or member.flag_bits & 1:
            raise ArchiveError(
                f"{archive} holds {name!r}, which is no file of a results folder: nothing was"
                " taken from it"
            )
        if name in names:
            raise ArchiveError(f"{archive} holds {name!r} twice: nothing was taken from it")
        names.add(name)
    size = sum(member.file_size for member in members)
    if len(members) > MOST_FILES or size > MOST_BYTES:
        raise ArchiveError(
            f"{archive} holds {len(members):,} files of {size:,} bytes; at most {MOST_FILES:,} of"
            f" {MOST_BYTES:,} are taken"
        )


def _take_out(file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """One file, no longer than it says it is; its checksum is compared at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with file.open(member) as source, open(path, "xb") as target:
        left = member.file_size
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{member.filename} is longer than it says")
            target.write(chunk)


def _stored(out: Path) -> tuple[list[RunFolder], list[RunFolder]]:
    """The finished runs of a folder, and those begun. ValueError where there are none."""
    finished, begun = [], []
    for path in sorted((out / "runs").glob("*/spec.json")):
        run = RunFolder(out, read_spec(path.parent))
        if run.path != path.parent:
            raise ValueError(f"{path.parent} is of another run than its spec.json")
        if run.complete:
            finished.append(run)
        elif run.begun:
            begun.append(run)
    if not finished and not begun:
        raise ValueError(f"{out} holds no runs")
    return finished, begun


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 2 with one line on what is wrong."""
    parser = Parser(
        prog="python -m comparisons pack",
        description=(
            "Write the runs of a results folder into an archive, from which python -m comparisons"
            " merge puts them into a folder anywhere: the same command finds them done there, and"
            " goes on with what was begun."
        ),
    )
    parser.add_argument("out", type=Path, metavar="FOLDER", help="results folder")
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="ZIP file to write")
    parser.add_argument(
        "--records",
        action="store_true",
        help="records and answers of finished runs alone (some 10 kB a run): no weights, no"
        " pictures, nothing unfinished",
    )
    options = parser.parse_args(arguments)
    try:
        finished, begun = _stored(options.out)
        if options.records:
            begun = []
        beside = () if options.records else BESIDE
        left_out = pack(options.out, options.archive, finished, begun, MOST_BYTES, beside)
    except (ValueError, OSError) as error:
        trouble = folder_trouble(options.archive.parent, error) or error
        print(f"{parser.prog}: {one_line(trouble)}", file=sys.stderr)
        return USAGE
    for run in left_out:
        print(f"no room for all of {run}", file=sys.stderr)
    size = options.archive.stat().st_size / 1e6
    print(
        f"{len(finished)} finished and {len(begun)} unfinished runs, {size:.1f} MB; elsewhere:"
        f" python -m comparisons merge {options.archive.name} --out FOLDER"
    )
    return 0
