"""What was found of a claim, part by part, and how parts make a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from comparisons.studies.evidence import Evidence

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_RUN = "inconclusive", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)

#: Of every one-sided test: a bound holds in 95 of 100 cases.
LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """How large what was found is, and what it is held against. kind: "accuracy", "difference" (of
    accuracies), "ratio" or "share" (of seeds, or a difference of these). low, high: the bounds that
    decide, each of which holds with probability `level`. bars: what they have to lie beyond."""

    kind: str
    value: float
    low: float
    high: float
    level: float
    bars: tuple[float, ...] = ()
    each: tuple[float, ...] = ()


@dataclass(frozen=True)
class Finding:
    """verdict: one of VERDICTS. rule: how it was reached, in words. numbers: what was found, a line
    each. effect: of a claim of one part, where it could be measured. parts: of a claim of several,
    their findings."""

    verdict: str
    rule: str
    numbers: tuple[str, ...] = ()
    effect: Effect | None = None
    parts: tuple[Finding, ...] = ()

    @property
    def each(self) -> tuple[Finding, ...]:
        """The parts; a claim of one part is its own."""
        return self.parts or (self,)


#: level: probability with which each bound that decides holds.
Check = Callable[[Evidence, float], Finding]


def judged(yes: bool, no: bool) -> str:
    """The verdict where a claim holds, or fails, for certain."""
    return REPRODUCED if yes else NOT_REPRODUCED if no else INCONCLUSIVE


def every(*checks: Check) -> Check:
    """All hold: an intersection-union test (Berger 1982).

    Each part has the verdict that it has alone. "Reproduced" needs every part at the full level and
    is then as rarely wrong as one part: if the claim is false, some part is, and that part passes
    with probability 1 - level at most, however many others there are and however they depend on
    each other. For "not reproduced" one part that fails is enough, and of many true parts some
    would fail by chance: there the part has to fail at a level widened for their number
    (Bonferroni), or the claim stays open.
    """

    def check(evidence: Evidence, level: float) -> Finding:
        each = [(one, one(evidence, level)) for one in checks]
        findings = [finding for _, finding in each]
        verdicts = {finding.verdict for finding in findings}
        widened = 1 - (1 - level) / len(checks)
        if any(
            finding.verdict == NOT_REPRODUCED and one(evidence, widened).verdict == NOT_REPRODUCED
            for one, finding in each
        ):
            verdict = NOT_REPRODUCED
        elif len(verdicts) == 1 and verdicts != {NOT_REPRODUCED}:
            (verdict,) = verdicts
        else:
            verdict = INCONCLUSIVE
        lines = tuple(line for finding in findings for line in finding.numbers)
        rule = "; and ".join(finding.rule for finding in findings)
        parts = tuple(part for finding in findings for part in finding.each)
        return Finding(verdict, rule, tuple(dict.fromkeys(lines)), parts=parts)

    return check


def provided(condition: Check, check: Check, otherwise: str) -> Check:
    """A check that tells something only under a condition, as that two networks are alike where
    they were trained: where that is not shown, the claim is open, and `otherwise` says why. Where
    the condition fails for certain nothing is left for the effect to be held against, so that more
    seeds are not thought to help."""

    def checked(evidence: Evidence, level: float) -> Finding:
        given, found = condition(evidence, level), check(evidence, level)
        numbers = tuple(dict.fromkeys((*given.numbers, *found.numbers)))
        if given.verdict == REPRODUCED or found.verdict == NOT_RUN:
            return replace(found, numbers=numbers)
        rule = f"{found.rule}, provided that {given.rule}"
        effect = found.effect
        if effect and given.verdict == NOT_REPRODUCED:
            effect = replace(effect, bars=())
        return Finding(INCONCLUSIVE, rule, (*numbers, otherwise), effect)

    return checked


def absent(why: str) -> Check:
    """A claim, or a part of one, that nothing here can test; says why."""

    def check(evidence: Evidence, level: float) -> Finding:
        return Finding(NOT_RUN, "nothing was run", (why,))

    return check


def judge(check: Check, evidence: Evidence, level: float = LEVEL) -> Finding:
    """The finding of a check on what is stored."""
    return check(evidence, level)


def as_record(finding: Finding) -> dict[str, Any]:
    """Plain data for the ledger, a record for each part."""

    def plain(one: Finding) -> dict[str, Any]:
        effect = {"effect": asdict(one.effect)} if one.effect else {}
        return {
            "verdict": one.verdict,
            "rule": one.rule,
            "numbers": list(one.numbers),
            **effect,
        }

    return {**plain(finding), "parts": [plain(part) for part in finding.each]}
