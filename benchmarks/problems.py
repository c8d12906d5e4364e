"""`python -m benchmarks.problems`: docs/gallery.md, problems of every task at every difficulty with
their answers, and its pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from foundations.command import Parser
from tasks import load_task, task_names
from tasks.base import Difficulty, Task
from tasks.pictures import preview
from tasks.sources import MissingData

DOCS = Path(__file__).parents[1] / "docs"
#: Problems of a difficulty, and the most pixels a picture is wide or high.
COUNT, WIDEST = 2, 420
#: From here on a site is less than a pixel of a picture.
LARGEST = {"maze": 201, "prefix_sums": 256}
HEAD = """# Gallery

Problems of every task at its usual difficulties, each with its answer: {count} of each, the first
test problems of seed 0, drawn by the tasks themselves. What the tasks
are: [tasks](tasks.md). `python -m benchmarks.problems` makes this page and its pictures.
"""


def shown(task: Task) -> list[Difficulty]:
    """The difficulties of a task that a small picture can show."""
    most = LARGEST.get(task.spec.name)
    return [d for d in task.spec.difficulties if most is None or int(d) <= most]


def picture(task: Task, difficulty: Difficulty, out: Path) -> None:
    """A small WebP file of the first test problems."""
    with TemporaryDirectory() as folder:
        large = Path(folder) / "large.png"
        preview(task, difficulty, large, count=COUNT, split="test")
        image = Image.open(large).convert("RGB")
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    image.save(out, quality=80, method=6)


def section(name: str, docs: Path) -> str:
    """A task's part of the page; its pictures are drawn on the way."""
    title = f"\n## {name}\n\n"
    try:
        task = load_task(name)
        lines = []
        for difficulty in shown(task):
            file = f"images/gallery/{name}_{difficulty}.webp"
            picture(task, difficulty, docs / file)
            label = f"{name}, {task.spec.difficulty_label} {difficulty}"
            lines.append(f"![{label}]({file})")
    except MissingData:
        return (
            f"{title}Reads data that do not come with the library:"
            f" `python -m tasks preview {name} --data-dir FOLDER --out {name}.png`.\n"
        )
    left = [str(d) for d in task.spec.difficulties if d not in shown(task)]
    more = f"\nToo large for a picture here: {', '.join(left)}.\n" if left else ""
    return title + "\n".join(lines) + "\n" + more


def main(arguments: list[str] | None = None) -> int:
    """Write the page; returns the exit status."""
    parser = Parser(prog="python -m benchmarks.problems", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the documentation")
    docs = parser.parse_args(arguments).docs
    parts = [HEAD.format(count=COUNT), *(section(name, docs) for name in task_names())]
    (docs / "gallery.md").write_text("".join(parts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
