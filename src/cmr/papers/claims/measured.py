"""Tests on what was measured: they hold or fail where an interval of 95 % excludes the rest.

Every interval is of one difference. A test of many comparisons holds where all of them do, and fails where one does.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cmr.papers.claims.evidence import Difference, Evidence, NotDecidedError, Site
from cmr.papers.claims.finding import Finding, as_list, decided, listed

NO_INTERVAL = "a single value has no interval"
HOLDS_ZERO = "the interval of a difference holds 0"


class MeasuredTest(Protocol):
    """A kind of test; its fields are the keys of a test in a file of claims."""

    def rows(self, evidence: Evidence) -> Iterator[tuple[str, Finding]]:
        """What is compared on what, in words, and what was found; one a setting, or a data set.

        Raises UserError where it names what the study has not.
        """


@dataclass(frozen=True, kw_only=True)
class InSettings:
    """A test that is made in each of some settings by itself."""

    settings: list[str]

    @property
    @abstractmethod
    def words(self) -> str:
        """What is compared."""

    @property
    def named(self) -> list[str]:
        """Methods that the test names."""
        fields = (vars(self).get(key, []) for key in ("method", "methods", "first", "second", "others"))
        return [name for value in fields for name in as_list(value)]

    @abstractmethod
    def find(self, evidence: Evidence, site: Site) -> Finding: ...

    def rows(self, evidence: Evidence) -> Iterator[tuple[str, Finding]]:
        for name in self.settings:
            try:
                site = evidence.site(name)
                found = self.find(evidence, site)
                found = Finding(found.holds, f"{evidence.told(site)}: {found.numbers}", found.reason)
            except NotDecidedError as error:
                found = error.finding
            yield f"{self.words}; {evidence.settings[name]['title']}", found


def all_above(gaps: Sequence[Difference], reason: str = "", every: bool = False) -> Finding:
    """Holds where all differences are surely positive, fails where one is surely negative.

    every : tell all differences, not those alone that decide.
    """
    holds, fails = all(gap.above for gap in gaps), any(gap.below for gap in gaps)
    shown = gaps
    if not every and len(gaps) > 2:
        shown = [gap for gap in gaps if not gap.above] or [min(gaps, key=lambda gap: gap.mean)]
        shown = sorted(shown, key=lambda gap: gap.mean)
    found = judged(shown, holds, fails)
    count = f"{sum(gap.above for gap in gaps)} of {len(gaps)} above; " if len(gaps) > 1 else ""
    return Finding(found.holds, count + found.numbers, "; ".join(filter(None, [found.reason, reason])))


def judged(gaps: Sequence[Difference], holds: bool, fails: bool, why: str = HOLDS_ZERO) -> Finding:
    numbers = listed(map(str, gaps), 6)
    if holds or fails:
        return decided(holds, numbers)
    return Finding("undecided", numbers, NO_INTERVAL if any(np.isnan(gap.low) for gap in gaps) else why)
