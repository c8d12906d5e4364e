"""What a reader can narrow the page down to: one task, one study. Elements of the page carry the
places of theirs in `data-task` and `data-study`; what carries neither always stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.page.ledger import Ledger
from reports.read.load import Records
from reports.read.sections import Section
from reports.read.series import titles_of


@dataclass(frozen=True)
class Filters:
    """tasks: their names in the records, with what the page calls them. studies: run ids by study,
    empty where the page has no section of its own for each."""

    tasks: dict[str, str]
    studies: Mapping[str, Sequence[str]]

    @property
    def choices(self) -> list[tuple[str, str, list[str]]]:
        """(kind, all of it, names) for each kind of which there is more than one."""
        found = [
            ("task", "all tasks", list(self.tasks.values())),
            ("study", "all studies", list(self.studies)),
        ]
        return [(kind, every, names) for kind, every, names in found if len(names) > 1]

    def of(self, tasks: Iterable[str], studies: Iterable[str] | None = None) -> Markup:
        """Attributes of an element about these tasks and, unless None, these studies."""
        said = self._places("task", list(self.tasks), tasks)
        return said if studies is None else said + self._places("study", self.studies, studies)

    def of_study(self, study: str) -> Markup:
        """Attributes of an element about a study, whatever its tasks."""
        return self._places("study", self.studies, [study])

    def of_runs(self, task: str, run_ids: Iterable[str]) -> Markup:
        """Attributes of an element about runs on a task."""
        runs = set(run_ids)
        return self.of([task], [s for s, own in self.studies.items() if not runs.isdisjoint(own)])

    @staticmethod
    def _places(kind: str, among: Iterable[str], names: Iterable[str]) -> Markup:
        known, asked = list(among), set(names)
        if len(known) < 2:
            return Markup()
        places = (str(i) for i, name in enumerate(known) if name in asked)
        return Markup(f' data-{kind}="{" ".join(places)}"')


def filters_of(records: Records, shown: Sequence[Section], ledger: Ledger | None) -> Filters:
    """Tasks in the order of the page, then those of runs without a number."""
    titles = titles_of("task", records.rows, records.runs)
    measured = set(records.tested["run_id"])
    others = [run for run_id, run in records.runs.items() if run_id not in measured]
    unmeasured = (str(run.spec.get("task", "unknown")) for run in others)
    names = dict.fromkeys([*(section.task for section in shown), *unmeasured])
    studies = ledger.runs if ledger else {}
    return Filters(
        {name: titles.get(name, name) for name in names}, studies if len(studies) > 1 else {}
    )
