"""Sets of labels: their cosines, and what tells nothing apart."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.methods.linear.label_sets import require_differences, unit_labels


def test_products_of_unit_labels_are_cosines_and_zero_without_a_label():
    labels = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    unit = unit_labels(labels)
    np.testing.assert_allclose(unit @ unit.T, [[1, 0.5, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], atol=1e-15)


@pytest.mark.parametrize("row", [[True, False], [False, False], [True, True]])
def test_rows_that_are_all_the_same_are_refused_and_one_that_differs_is_enough(row):
    labels = np.array([row] * 5)
    with pytest.raises(UserError, match=r"^name: all pairs of the train part have the same classes"):
        require_differences(labels, "name")
    labels[3, 0] = not labels[3, 0]
    require_differences(labels, "name")
