"""What a reader with a page can check: do its sentences say what its tables do, and no more?

`read_page` takes a page apart as text, so that nothing of the code that wrote it is believed;
`faults` names each sentence that crowns a network whose interval overlaps another's, gives a number
that the table does not, compares networks trained on different difficulties, or claims what its
records lack.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

PERCENT = r"[<>]?\d+(?:\.\d+)? %"
FARTHEST = " (?:gets|extrapolates) farthest: it solves"
ROUNDING = 0.11  # points: two ends, each rounded to a tenth
DISJOINT = ("Fewer than three seeds", "One seed each")  # of networks one by one


@dataclass(frozen=True)
class Cell:
    """As the table has it, in percent."""

    text: str
    low: float
    high: float
    bold: bool = False


@dataclass
class Task:
    """One section: `cells` by series and column, `rules` by series, rule and column, `probes` by
    series and place."""

    name: str
    heading: str = ""
    columns: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    chance: float = 0.0
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    seeds: int = 0
    active: dict[str, float] = field(default_factory=dict)
    rules: dict[str, dict[str, dict[str, Cell]]] = field(default_factory=dict)
    probes: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    titles: list[tuple[str, str]] = field(default_factory=list)
    trained_on: dict[str, set[str]] = field(default_factory=dict)

    def at(self, text: str) -> str | None:
        """The column that a sentence speaks of first; the only one where there is one."""
        if not self.heading:
            return self.columns[0] if self.columns else None
        text = re.sub(rf"^Trained on [^:]*?, (?={_any([*self.cells, 'no', 'problems'])})", "", text)
        found = re.search(rf"{re.escape(self.heading)} ({_any(self.columns)})(?![\w.])", text)
        return found[1] if found else None

    def column(self, place: str, rule: str = "") -> dict[str, Cell]:
        """By series what was measured at a place, by the page's rule or, for those that have it,
        another."""
        found = {s: row[place] for s, row in self.cells.items() if place in row}
        if rule:
            found |= {s: r[rule][place] for s, r in self.rules.items() if place in r.get(rule, {})}
        return found


@dataclass
class Page:
    tasks: list[Task]
    overview: list[str]
    run_columns: list[str]
    run_rows: list[list[str]]


def _any(words) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or "(?!)"


def plain(markup: str) -> str:
    """The text of some HTML, with plain spaces."""
    text = html.unescape(re.sub(r"<[^>]+>", "", markup)).replace("\N{NO-BREAK SPACE}", " ")
    return re.sub(r"\s+", " ", text).strip()


def value(text: str) -> float:
    """A number as shown, in percent: `<0.1` and `>99.9` lie between."""
    number = float(re.sub(r"[<>,%*\s]", "", text))
    return {"<": 0.05, ">": 99.95}.get(text.strip()[0], number)


def _span(text: str) -> tuple[float, float]:
    low, high = re.search(r"([<>]?[\d.]+)–([<>]?[\d.]+)", html.unescape(text)).groups()
    return value(low), value(high)


def _rows(table: str) -> list[str]:
    return re.findall(r"<tr[^>]*>(.*?)</tr>", table.partition("</thead>")[2], re.DOTALL)


def _fields(row: str) -> list[tuple[str, str]]:
    """(attributes, content) of the cells of a row."""
    return re.findall(r"<t[hd]\b([^>]*)>(.*?)</t[hd]>", row, re.DOTALL)


def _table(part: str, label: str) -> str:
    found = re.search(rf'aria-label="{label}.*?(<table.*?</table>)', part, re.DOTALL)
    return found[1] if found else ""


def _headers(table: str) -> list[str]:
    return [plain(h) for _, h in _fields(table.partition("</thead>")[0])]


def read_page(page: str) -> Page:
    """The sentences and tables of a page."""
    page = re.sub(r"<(script|style|svg|button)\b.*?</\1>", "", page, flags=re.DOTALL)
    parts = re.findall(r'<section id="([^"]+)"[^>]*>(.*?)</section>', page, re.DOTALL)
    answer = dict(parts)["answer"]
    tasks = {key: _task(part) for key, part in parts if re.fullmatch(r"t\d+", key)}
    for key, said in re.findall(
        r'<(?:h3|summary)><a href="#(\w+)">[^<]*</a>[^<]*</\w+>\s*<ul>(.*?)</ul>', answer, re.DOTALL
    ):
        tasks[key].said = [plain(li) for li in re.findall(r"<li>(.*?)</li>", said, re.DOTALL)]
    runs = _table(page, "Runs")
    columns = _headers(runs)
    rows = [[plain(content) for _, content in _fields(row)] for row in _rows(runs)]
    rows = [row for row in rows if len(row) == len(columns)]  # without what a row opens
    for row in rows:
        task, series, where = (row[columns.index(c)] for c in ("task", "paradigm", "trained on"))
        for held in tasks.values():
            if held.name == task:
                held.trained_on.setdefault(series, set()).add(where)
    return Page(list(tasks.values()), [title for title, _ in _titles(answer)], columns, rows)


def _titles(part: str) -> list[tuple[str, str]]:
    found = re.findall(
        r"<h[34] id=[^>]*>(.*?)</h[34]>.*?<figcaption>(.*?)</figcaption>", part, re.DOTALL
    )
    return [(plain(title), plain(caption)) for title, caption in found]


def _task(part: str) -> Task:
    task = Task(plain(re.search(r"<h2>(.*?)</h2>", part, re.DOTALL)[1]), titles=_titles(part))
    accuracy = _table(part, "Accuracy on")
    by = re.search(r"<h3>Accuracy by (.*?)</h3>", part)
    task.heading = plain(by[1]) if by else ""
    chance = re.search(rf"Chance is ({PERCENT})", plain(accuracy))
    task.chance = value(chance[1]) if chance else 0.0
    heads = _headers(accuracy)
    if not heads:
        return task  # without an accuracy there is no table
    shown = heads[1 : heads.index("parameters")]
    task.columns = [re.sub(r" ?trained$", "", h.removeprefix(task.heading).strip()) for h in shown]
    task.trained = [c for c, h in zip(task.columns, shown, strict=True) if h.endswith("trained")]
    for row in _rows(accuracy):
        (_, name), *rest = _fields(row)
        series = plain(name)
        measured = zip(task.columns, rest, strict=False)
        task.cells[series] = {c: _cell(*found) for c, found in measured if "<small>" in found[1]}
        task.samples[series] = plain(rest[-1][1])
        task.seeds = max(task.seeds, int(re.match(r"\d+", plain(rest[-3][1]))[0]))
    compute = _table(part, "Compute on")
    place = _headers(compute).index("active")
    for row in _rows(compute):
        found = [plain(content) for _, content in _fields(row)]
        if found[place] != "–":
            task.active[found[0]] = value(found[place])
    _read_rules(task, _table(part, "Exit rules on"))
    probes = _table(part, "(?:Probes of|Inside) the networks on")
    heads = _headers(probes)
    for row in _rows(probes):
        found = [plain(content) for _, content in _fields(row)]
        task.probes[found[0], found[1]] = dict(zip(heads, found, strict=True))
    return task


def _cell(attributes: str, content: str) -> Cell:
    text, _, span = content.partition("<small>")
    low, high = _span(plain(span))
    return Cell(plain(text).rstrip("*"), low, high, "top" in attributes)


def _read_rules(task: Task, table: str) -> None:
    series = ""
    for row in _rows(table):
        (attributes, name), *rest = _fields(row)
        if "rowgroup" in attributes:
            series = plain(name)
            continue
        held = task.rules.setdefault(series, {}).setdefault(plain(name), {})
        for column, (told, content) in zip(task.columns, rest, strict=True):
            if "title=" in told:
                held[column] = Cell(plain(content.partition("<small>")[0]), *_span(told))


# What can be wrong.


def faults(page: Page) -> list[str]:
    """`kind: sentence` for everything said that the page itself does not bear out."""
    found = [f for task in page.tasks for f in _of_task(task)]
    found += [f"overview: {text}" for title in page.overview for text in _overview(page, title)]
    for row in page.run_rows:
        where = row[page.run_columns.index("trained on")]
        found += [f"no unit: trained on {where}"] * bool(re.fullmatch(r"[\d.]+", where))
    captions = [caption for task in page.tasks for _, caption in task.titles]
    if not any("machine" in column for column in page.run_columns):
        named = [c for c in captions if "machine that the runs table names" in c]
        found += [f"no such column: {caption}" for caption in named]
    return list(dict.fromkeys(found))


def _of_task(task: Task) -> Iterator[str]:
    for text in task.said:
        for check in (_winner, _alike, _numbers, _level, _fewest, _enough, _extrapolates):
            yield from (f"{check.__name__[1:]}: {text}" for _ in check(task, text))
    for title, caption in task.titles:
        for check in (_winner, _alike, _level, _probes, _answers):
            yield from (f"{check.__name__[1:]}: {title}" for _ in check(task, title))
        if task.seeds == 1 and "Student" in caption:
            yield f"one seed: {caption}"
    for place in task.columns:
        yield from _bold(task, place)


def _overlap(a: Cell, b: Cell) -> bool:
    """Whether intervals overlap by more than their rounding."""
    return a.low < b.high - ROUNDING and b.low < a.high - ROUNDING


def _crowned(task: Task, name: str, place: str | None, rule: str = "") -> bool:
    """Whether a network is separated from every other that was measured there."""
    column = task.column(place, rule) if place else {}
    others = [cell for other, cell in column.items() if other != name]
    return name in column and bool(others) and not any(_overlap(column[name], c) for c in others)


def _rule(task: Task, text: str) -> str:
    """The exit rule that a sentence names first, of those in the table."""
    named = {rule for rules in task.rules.values() for rule in rules}
    found = re.search(rf"by ({_any(named)})", text)
    return found[1] if found else ""


def _winner(task: Task, text: str) -> Iterator[None]:
    """A network that is said to be ahead and is not separated from the others."""
    name = f"(?P<name>{_any(task.cells)})"
    claims = (
        rf"{name}(?: \({PERCENT} at [^)]*\))? (?:gets|extrapolates) farthest",
        rf"{name} solves most",
        rf"[Hh]ighest(?: at [^:]*)?: {name},",
        rf"does better: {name} {PERCENT}",
        rf"^{name} solves {PERCENT} at .*, (?:{_any(task.cells)}) {PERCENT}$",
        rf"{name} solves {PERCENT} with .*, (?:{_any(task.cells)}) {PERCENT} with",
    )
    for claim in claims[:4] if "not separated from" in text else claims:
        for found in re.finditer(claim, text):
            group = {found["name"]}
            if "does better" in claim:
                # Of two groups only the best of each is named: the other's best is what it has to
                # be separated from.
                pair = re.search(rf"{claim}, (?P<other>{_any(task.cells)}) {PERCENT}", text)
                column = task.column(task.at(text) or "")
                group = {pair["name"], pair["other"]} if pair else group
                if pair and not _overlap(*(column[n] for n in (pair["name"], pair["other"]))):
                    continue
            if "does better" in claim or not _crowned(
                task, found["name"], task.at(text), _rule(task, text)
            ):
                yield None


def _alike(task: Task, text: str) -> Iterator[None]:
    """Networks trained on different difficulties side by side in one sentence."""
    if text.startswith(DISJOINT) or "ended as" in text:
        return
    named = set(re.findall(_any(task.cells), text))
    if len({where for name in named for where in task.trained_on.get(name, ())}) > 1:
        yield None


def _numbers(task: Task, text: str) -> Iterator[None]:
    """An accuracy that the table does not have there."""
    place = task.at(text)
    if place is None or re.search(r"exit rule|The rule|training samples|the fewest", text):
        return
    for name, told in re.findall(
        rf"({_any(task.cells)})(?:,| solves(?: most,)?|{FARTHEST})? ({PERCENT})",
        text,
    ):
        cell = task.cells[name].get(place)
        if cell is None or cell.text != told.removesuffix(" %"):
            yield None


def _level(task: Task, text: str) -> Iterator[None]:
    """Networks that are said not to be separated and are, by intervals that the table shows."""
    pair = rf"({_any(task.cells)}) solves .*?, not separated from (.*?) \(95 % intervals overlap"
    listed = re.search(pair, text)
    place = task.at(text)
    if not listed or place is None:
        return
    column = task.column(place)
    others = [column[name] for name in re.findall(_any(task.cells), listed[2])]
    if any(cell.high < column[listed[1]].low - ROUNDING for cell in others):
        yield None


def _fewest(task: Task, text: str) -> Iterator[None]:
    """A smallest network that is not the smallest, or does not reach what it is said to."""
    old = (
        rf"Fewest parameters among those that reach ({PERCENT}) .*?: ({_any(task.cells)}), ([\d,]+)"
    )
    new = rf"whole interval reaches ({PERCENT}) .*? are ([\d,]+): ({_any(task.cells)})"
    found, place = re.search(old, text), task.at(text)
    goal, name, told = found.groups() if found else (None, None, None)
    if not found and (found := re.search(new, text)) and "parameters" in text:
        goal, told, name = found.groups()
    if goal is None or place is None:
        return
    reaching = {n for n, c in task.column(place).items() if c.low >= value(goal) - ROUNDING}
    fewest = min((task.active[n] for n in reaching if n in task.active), default=None)
    if name not in reaching or fewest != value(told) or task.active.get(name) != value(told):
        yield None


def _enough(task: Task, text: str) -> Iterator[None]:
    """Training sets that are said to be enough, or not, for networks whose intervals leave that
    open."""
    said = rf"([\d,]+) training samples.*? are the fewest .*?({PERCENT}) at [^:]*: (.*?)\.(?: |$)"
    found, place = re.search(said, text), task.at(text)
    column = {} if place is None else task.column(place)
    if re.search(r"No network is shown to reach", text):
        goal = value(re.search(PERCENT, text)[0])
        yield from (None for cell in column.values() if cell.low > goal + ROUNDING)
    if not found or place is None:
        return
    goal, missed = value(found[2]), re.search(r"Not reached by (.*?)\.(?: |$)", text)
    for name in re.findall(_any(task.cells), found[3]):
        if task.samples[name] == found[1] and column[name].low < goal - ROUNDING:
            yield None
    for name in re.findall(_any(task.cells), missed[1] if missed else ""):
        if name in column and column[name].high > goal + ROUNDING:
            yield None


def _extrapolates(task: Task, text: str) -> Iterator[None]:
    """Extrapolation to where no network was not trained, or where none is clear of chance; or
    denied where one is."""
    place = task.at(text) if task.heading else None
    if place is None:
        return
    column, order = task.column(place), task.columns.index
    claim = re.search(rf"({_any(task.cells)}){FARTHEST}", text)
    if claim or "problems are solved up to" in text:
        names = [claim[1]] if claim else list(column)
        clear = [n for n in names if n in column and column[n].low > task.chance]
        if not clear or any(order(place) <= order(t) for t in task.trained):
            yield None
    denied = re.search(rf"(?:none|no network) solves at least ({PERCENT}) of the problems at", text)
    if denied:
        goal = value(denied[1])
        if any(value(c.text) >= goal and c.low > task.chance for c in column.values()):
            yield None


def _bold(task: Task, place: str) -> Iterator[str]:
    """Bold sets a network apart from one whose interval overlaps its."""
    column = task.column(place)
    best = max(column.values(), key=lambda c: value(c.text), default=None)
    if best is None or not any(cell.bold for cell in column.values()):
        return
    for name, cell in column.items():
        if not cell.bold and cell.high > best.low + ROUNDING:
            yield f"bold: {task.name}, {place}: not {name}"


def _probes(task: Task, text: str) -> Iterator[None]:
    """Shares and limits other than those of the table of probes."""
    place = task.at(text)
    for clause in text.split("; "):
        name = (re.findall(_any(task.cells), clause) or [""])[0]
        row = task.probes.get((name, place or ""))
        if row is None:
            continue
        kept = re.search(rf"keeps ({PERCENT}) of its filters", clause)
        if kept and not row["filters reused"].startswith(kept[1]):
            yield None
        limits = row.get("limit of states") or row["states end"]
        moving = re.search(r"settling|moving on|converging", limits)
        still = re.search("still move|has converged|have not", clause)
        claimed = re.search(r"within \S+ of (?:its|the) limit", clause)
        if (claimed and moving) or (still and not moving):
            yield None


def _answers(task: Task, text: str) -> Iterator[None]:
    """Answers of a network that are not better than chance, or whose accuracy is not given."""
    found = re.search(rf"({_any(task.cells)}) has answered half", text)
    if not found:
        return
    rules = task.rules.get(found[1], {})
    held = next((cells for rule, cells in rules.items() if rule.startswith("agreement")), {})
    cell = held.get(task.at(text) or "")
    given = re.search(rf"({PERCENT}) of all answers are right", text)
    if (
        cell is None
        or cell.low <= task.chance
        or given is None
        or value(given[1]) != value(cell.text)
    ):
        yield None


def _overview(page: Page, title: str) -> Iterator[str]:
    """Leaders by task that are separated from the others nowhere on it."""
    names = {name for task in page.tasks for name in task.cells}
    body = title.partition(": ")[2] if re.match("Farthest at|Best where", title) else ""
    clauses = re.split(rf"(?:^|[,;] )(?=(?:{_any(names)}) on )", body)
    for clause in clauses:
        found = re.match(rf"({_any(names)}) on ([^;]*)", clause)
        for task in page.tasks if found else ():
            here = re.search(rf"(?:^|, | and ){re.escape(task.name)}(?:$|,|;| and )", found[2])
            if here and not any(_crowned(task, found[1], place) for place in task.columns):
                yield f"{found[1]} on {task.name}"
    for clause in title.split(". ") if not body else ():
        for task in page.tasks:
            if clause.startswith(f"On {task.name}"):
                yield from (clause for _ in _winner(task, clause))
