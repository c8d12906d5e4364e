"""Problems of a section and what networks answered: solved and unsolved ones, answers as they form,
and one problem side by side."""

from __future__ import annotations

from typing import Any

from reports.figures import answer_frames
from reports.figures.answer_frames import AnswerFrames, PerturbedFrames
from reports.figures.examples import Example, read_examples
from reports.figures.styles import Style
from reports.read.formats import percent, plural
from reports.read.load import Run
from reports.read.sections import Section

Part = dict[str, Any]  # what the template reads
MOST_BESIDE = 4  # networks that answer one problem side by side


def pictures(
    section: Section, runs: dict[str, Run], styles: dict[str, Style], notes: list[str]
) -> list[Part]:
    """Per series the examples of its first run that has any, at the trained and a harder
    difficulty."""
    trained = section.trained
    harder = [d for d in section.difficulties if not trained or d > trained[0]]
    levels = list(dict.fromkeys([*trained, *harder[:1], *harder[-1:]]))
    shown: dict[str, Part] = {}
    order = section.series.index
    for series, run_id in sorted(section.owners(), key=lambda owner: order(owner[0])):
        if run_id not in runs or series in shown:
            continue
        examples, frames, perturbed = _stored_pictures(runs[run_id], levels, section, notes)
        if examples:
            shown[series] = {
                "series": series,
                "index": styles[series].index,
                "run": run_id,
                "examples": [_example_part(e, section) for e in examples],
                "frames": [{"place": section.place(f.level), "frames": f} for f in frames],
                "perturbed": perturbed,
            }
    return list(shown.values())


def side_by_side(section: Section, runs: dict[str, Run], styles: dict[str, Style]) -> Part | None:
    """The same problem as each network answers it, of the hardest difficulty that at least two have
    stored: up to `MOST_BESIDE`, those that solve most there, at least one of each family."""
    for level in reversed(section.difficulties):
        found: dict[str, AnswerFrames] = {}
        for series, run_id in section.owners():
            examples = runs[run_id].examples if run_id in runs else None
            if series in found or examples is None:
                continue
            try:
                frames = answer_frames.read_first(examples, level)
            except ValueError:  # said where the run's other pictures are read
                continue
            if frames:
                found[series] = frames
        if len(found) > 1:
            return _beside(section, level, found, styles)
    return None


def _beside(
    section: Section, level: float, found: dict[str, AnswerFrames], styles: dict[str, Style]
) -> Part:
    cells = {series: section.cell(series, level) for series in found}
    ranked = sorted(found, key=lambda s: -(cell.mean if (cell := cells[s]) else -1.0))
    best = {section.recurrent.get(s): s for s in reversed(ranked)}
    shown = list(dict.fromkeys([*best.values(), *ranked]))[:MOST_BESIDE]
    shown.sort(key=ranked.index)
    return {
        "place": f"{section.name}, {section.place(level)}",
        "first": False,
        "iterations": sorted({i for series in shown for i in found[series].iterations}),
        "films": [
            {"series": s, "index": styles[s].index, "frames": found[s],
             "solves": percent(cell.mean) if (cell := cells[s]) else ""}
            for s in shown
        ],
    }  # fmt: skip


def _stored_pictures(
    run: Run, levels: list[float], section: Section, notes: list[str]
) -> tuple[list[Example], list[AnswerFrames], list[PerturbedFrames]]:
    """Examples, answer frames and those after perturbations, at each level from the first of the
    network's tests that holds any."""
    examples: list[Example] = []
    frames: list[AnswerFrames] = []
    perturbed: list[PerturbedFrames] = []
    left = levels
    for test in run.tests or (run,):
        if test.examples is None or not left:
            continue
        try:
            more = (
                read_examples(test.examples, left),
                answer_frames.read_frames(test.examples, left),
            )
            perturbed = perturbed or answer_frames.read_perturbed(test.examples, left, section)
        except ValueError as error:
            notes.append(f"runs/{test.run_id}: {error}; its pictures are left out.")
            continue
        examples, frames = examples + more[0], frames + more[1]
        left = [d for d in left if d not in {e.level for e in more[0]}]
    by_level = {d: i for i, d in enumerate(levels)}
    examples.sort(key=lambda e: by_level[e.level])
    frames.sort(key=lambda f: by_level[f.level])
    return examples, frames, perturbed


def _example_part(example: Example, section: Section) -> Part:
    state = "solved" if example.solved else "unsolved"
    wrong = f", {plural(example.wrong_sites, 'site')} wrong" if example.wrong_sites else ""
    title = f"{section.place(example.level)}: {state}{wrong}"
    return {"state": state, "title": title, "example": example}
