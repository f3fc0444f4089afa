"""What a test finds, and the words that all tests share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Holds = Literal["holds", "does not hold", "undecided", "not run", "withheld"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one test.

    Attributes
    ----------
    numbers : those that decide, in words.
    reason : why it is undecided, not run or withheld; else what is to be known besides, or nothing.
    """

    holds: Holds
    numbers: str = ""
    reason: str = ""


def decided(holds: bool, numbers: str, reason: str = "") -> Finding:
    """A test that numbers without an error decide."""
    return Finding("holds" if holds else "does not hold", numbers, reason)


def listed(items: Iterable[str], most: int = 8) -> str:
    """Items in a row; of many the first ones, and how many more there are."""
    items = list(items)
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return "; ".join([*items[:most], *more])


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
