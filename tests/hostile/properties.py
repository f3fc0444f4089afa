"""How tests of properties are tried: the same examples every time, as many as a few seconds allow."""

from hypothesis import HealthCheck, settings


def examples(number: int) -> settings:
    """A decorator: so many examples, drawn from the test itself and not from chance."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
