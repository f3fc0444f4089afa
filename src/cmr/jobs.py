"""The last line of a job's log: how long it took, or after how long it failed."""

import logging
import sys
import time
from collections.abc import Callable

from cmr.errors import UserError


def run_job(main: Callable[[], None]) -> None:
    """Run the `main` of a script that makes files for a rule; what it logs goes to standard error.

    A UserError becomes one line and exit status 1, as in `cmr.errors.run_main`; any other exception keeps its
    traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    start = time.monotonic()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}\nfailed after {duration(time.monotonic() - start)}")
    except Exception as error:
        error.add_note(f"failed after {duration(time.monotonic() - start)}")
        raise
    logging.info("done in %s", duration(time.monotonic() - start))


def duration(seconds: float) -> str:
    """`0.3 s`, `12 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for larger, smaller, size in (("d", "h", 3600), ("h", "min", 60), ("min", "s", 1)):
        per = 24 if larger == "d" else 60
        most, rest = divmod(round(whole / size), per)
        if most:
            return f"{most} {larger} {rest} {smaller}" if rest else f"{most} {larger}"
    return f"{whole} s"
