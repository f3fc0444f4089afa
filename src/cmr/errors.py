"""The one exception that users meet, and how a script shows it."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something that the user can mend: a file, key or item is wrong, and the message says which and what to do.

    Scripts print the message alone; every other exception is a defect of ours and keeps its traceback.
    """


def run_main(main: Callable[[], None]) -> None:
    """Run a script's `main`; a UserError becomes one line on standard error and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
