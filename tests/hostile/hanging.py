"""What must not hang, and would if a defence were missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGALRM, alarm, signal


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Ends what hangs, so that the other tests run; not a measurement."""

    def stop(*_):
        raise TimeoutError(f"still at work after {seconds} s")

    before = signal(SIGALRM, stop)
    alarm(seconds)
    try:
        yield
    finally:
        alarm(0)
        signal(SIGALRM, before)
