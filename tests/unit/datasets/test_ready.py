"""Features that come with a data set are put into the order of its pairs, and none is guessed."""

import numpy as np
import pytest

from cmr.datasets.ready import collect_rows
from cmr.errors import UserError

ROWS = {item: np.array([k, -k], dtype=np.float32) for k, item in enumerate("abcde")}


def block(items):
    return list(items), np.stack([ROWS[item] for item in items])


@pytest.mark.parametrize("blocks", [["abcde"], ["edcba"], ["ce", "a", "bd"]])
def test_rows_follow_the_pairs_whatever_the_order_of_the_file(blocks):
    values = collect_rows("view", map(block, blocks), ["b", "e", "a"])
    np.testing.assert_array_equal(values, np.stack([ROWS["b"], ROWS["e"], ROWS["a"]]))
    assert values.dtype == np.float32


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([block("ab")], "view: 1 of 3 items have no row, the first is 'c'"),
        ([block("abc"), block("b")], "more than one row"),
        ([block("abcc")], "more than one row"),
        ([(["a", "b"], np.zeros((3, 2)))], "2 ids for 3 rows"),
        ([block("ab"), (["c"], np.zeros((1, 5)))], "rows of 2 and of 5 dimensions"),
        ([], "hold no row"),
    ],
)
def test_features_that_do_not_fit_the_pairs_are_refused(blocks, message):
    with pytest.raises(UserError, match=message):
        collect_rows("view", blocks, ["a", "b", "c"])


def test_rows_of_items_that_are_not_in_the_data_set_may_repeat():
    assert collect_rows("view", [block("aab"[1:]), (["x", "x"], np.ones((2, 2)))], ["a", "b"]).shape == (2, 2)
