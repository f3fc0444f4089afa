"""The one exception that users meet, and how a script shows it."""

import re
import sys
from collections.abc import Callable

LONGEST_MESSAGE = 50_000  # characters
# Terminals obey some of them, and others turn the direction of what follows.
_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

REMEDY_OF_DISK = "Free or change the disk, then run again"


class UserError(Exception):
    """Something that the user can mend: a file, key or item is wrong, and the message says which and what to do.

    Scripts print the message alone; every other exception is a defect of ours and keeps its traceback. Messages name
    files and items of strangers, and are `printable`.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def run_main(main: Callable[[], None]) -> None:
    """Run a script's `main`; a UserError becomes one line on standard error and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")


def printable(text: str) -> str:
    """A message with its control characters (but tabs and line ends) written out, and cut where it is very long."""
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[: LONGEST_MESSAGE // 2]} [...] {text[-LONGEST_MESSAGE // 2 :]}"
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
