"""`python -m benchmarks.problems`: docs/gallery.md, problems of every task at every difficulty with
their answers, its pictures, and what stands there about networks that think."""

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
are: [tasks](tasks.md). `python -m benchmarks.problems` makes this page and its pictures, and
[those of networks](#networks-thinking) `python -m benchmarks.gallery`.
"""
#: What follows the tasks. Its pictures are of trained networks, which are not kept.
THINKING = """
## Networks thinking

One test problem larger than those of training, and how sure a network is of each site (orange)
after 1, 2, 4, 8, 16 and its last iteration: 64 where it could go on for ever, else its own end. One
problem shows how a network goes about it, not how good it is: shares are of 500 problems.

![A maze of size 13 by twelve networks trained on size 9](images/thinking_mazes.webp)

Mazes of size 13 after 9, training seed 0. In order they solve 99.6, 77.2, 74.2, 74.2, 6.0, 4.4 and
0 % of that size, and 37.8, 20.2, 16.6, 6.8 and 0 %. **Some have not learned**: `transformer` and
`looped_transformer` solve none of size 9 either, and `deq` and `dt_net_lipschitz` half of it at
most. In the first row dead ends are cleared until one path is left. Feed-forward networks show what
their blocks hand on, read out as if it were the last.

![A string of 32 bits by fifteen networks trained on 16](images/thinking_sums.webp)

Running sums of 32 bits after 16, training seed 0: above the bits (white is 1), below the answer.
Recurrence over positions answers in one pass; recurrence over depth settles from the start of the
string on, and some unsettle again (`locrnn` looks right after 16 iterations and is wrong after 64).
Shares of 32 bits are on the [pages](reference.md) of the networks.

The networks are those of the commands of [rivals](results/README.md); OUT is their results folder,
the runs are those of seed 0 in the order of the pictures:

    python -m benchmarks.gallery OUT/runs/maze.NAME-s0-* ... --difficulty 13 \\
        --out docs/images/thinking_mazes.webp
    python -m benchmarks.gallery OUT/runs/prefix_sums.NAME-s0-* ... --difficulty 32 \\
        --out docs/images/thinking_sums.webp
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


def section(name: str, docs: Path, data_dir: Path | None = None) -> str:
    """A task's part of the page; its pictures are drawn on the way. data_dir: has a folder NAME
    with the images of tasks that do not come with the library."""
    title = f"\n## {name}\n\n"
    try:
        given = None if data_dir is None else data_dir / name
        task = load_task(name, **({"data_dir": str(given)} if given and given.is_dir() else {}))
        lines = []
        for difficulty in shown(task):
            file = f"images/gallery/{name}_{difficulty}.webp"
            picture(task, difficulty, docs / file)
            some = len(task.spec.difficulties) > 1
            label = f"{name}, {task.spec.difficulty_label} {difficulty}" if some else name
            lines.append(f"![{label}]({file})")
    except MissingData:
        kept = sorted((docs / "images/gallery").glob(f"{name}_*.webp"))
        if kept:  # drawn where the data were
            return f"{title}![{name}](images/gallery/{kept[0].name})\n"
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
    parser.add_argument("--data-dir", type=Path, help="folder of folders TASK with its images")
    options = parser.parse_args(arguments)
    tasks = [section(name, options.docs, options.data_dir) for name in task_names()]
    text = "".join([HEAD.format(count=COUNT), *tasks, THINKING])
    (options.docs / "gallery.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
