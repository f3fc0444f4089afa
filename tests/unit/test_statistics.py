import numpy as np
import pytest
from scipy.stats import ttest_1samp

from cmr.statistics import mean_interval


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_is_that_of_the_t_test(level):
    values = [0.31, 0.35, 0.30, 0.38, 0.33]
    expected = ttest_1samp(values, 0).confidence_interval(level)
    assert mean_interval(values, level) == pytest.approx((np.mean(values), expected.low, expected.high))


def test_five_values_against_the_printed_table():
    """t(0.975, 4) = 2.776 in every table."""
    mean, low, high = mean_interval([1, 2, 3, 4, 5])
    assert (mean, low, high) == pytest.approx((3, 3 - 2.776 * 0.5**0.5, 3 + 2.776 * 0.5**0.5), abs=1e-3)


def test_one_value_has_no_interval():
    mean, low, high = mean_interval([0.25])
    assert mean == 0.25
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_other_shapes_are_refused(values):
    with pytest.raises(ValueError, match="one or more values"):
        mean_interval(values)
