"""Codes of labels against the objective over all (n, n) pairs of items."""

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.methods.hashing import label_codes as module
from cmr.methods.hashing.codes import pack
from cmr.methods.hashing.label_codes import Divergence, descend, label_codes
from cmr.methods.linear.label_sets import unit_labels
from cmr.metrics import mean_average_precision

QUANTISATION = 0.3  # heavy enough to matter


def dense(h, labels, quantisation):
    """The objective of all items' own points (n, q)."""
    lengths = np.sqrt(labels.sum(axis=1))
    p = labels @ labels.T.astype(float) / np.outer(lengths, lengths)
    q = 1 / (1 + ((h[:, None] - h) ** 2).sum(axis=2) / 4)
    np.fill_diagonal(p, 0)
    np.fill_diagonal(q, 0)
    p, q = p / p.sum(), q / q.sum()
    some = p > 0
    n, bits = h.shape
    return (p[some] * np.log(p[some] / q[some])).sum() + quantisation / (n * bits) * ((np.abs(h) - 1) ** 2).sum()


@pytest.fixture
def sets(monkeypatch):
    """(distinct label rows, of which set an item is, the number of items of each set), in blocks of five sets."""
    monkeypatch.setattr(module, "_BLOCK", 5)
    rng = np.random.default_rng(0)
    labels = rng.random((60, 4)) < 0.4
    labels[~labels.any(axis=1), 0] = True
    distinct, of_item, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    assert len(distinct) > 10 and counts.max() > 3
    return distinct, of_item, counts.astype(float)


def points(sets, seed=1):
    return np.random.default_rng(seed).normal(size=(len(sets[0]), 3))


def test_objective_by_sets_is_that_of_all_items(sets):
    distinct, of_item, counts = sets
    h = points(sets)
    found, _ = Divergence(unit_labels(distinct), counts, QUANTISATION)(h)
    assert found == pytest.approx(dense(h[of_item], distinct[of_item], QUANTISATION), abs=1e-12)


def test_gradient_agrees_with_finite_differences_of_one_item(sets):
    distinct, of_item, counts = sets
    h, step = points(sets), 1e-5
    _, gradient = Divergence(unit_labels(distinct), counts, QUANTISATION)(h)
    for k in range(len(distinct)):
        item = int(np.flatnonzero(of_item == k)[0])
        for bit in range(3):
            ends = []
            for sign in (1, -1):
                moved = h[of_item]
                moved[item, bit] += sign * step
                ends.append(dense(moved, distinct[of_item], QUANTISATION))
            assert gradient[k, bit] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_items_of_one_set_that_start_together_descend_as_their_set_does(sets):
    distinct, of_item, counts = sets
    start = 1e-4 * points(sets)
    by_set, values = descend(Divergence(unit_labels(distinct), counts, 0.01), start, 30)
    each = Divergence(unit_labels(distinct[of_item]), np.ones(60), 0.01)
    by_item, all_values = descend(each, start[of_item], 30)
    np.testing.assert_allclose(values, all_values, rtol=1e-6)
    np.testing.assert_allclose(by_set[of_item], by_item, rtol=1e-4, atol=1e-8)


def test_points_start_where_all_are_one_and_their_distances_tell_nothing():
    labels = np.eye(4, dtype=bool)[np.arange(40) % 4]
    codes = label_codes(labels, 8, 1, QUANTISATION, 0)
    assert codes.objective[0] == pytest.approx(dense(np.zeros((40, 8)), labels, QUANTISATION), rel=1e-3)


def test_down_a_slope_half_of_each_step_is_kept_and_gains_grow():
    slope = np.array([[2.0, -1.0], [-1.0, 0.5]]) / module.RATE  # of two sets, of one item and of two

    class Slope:
        counts = np.array([1.0, 2.0])

        def __call__(self, h):
            return float((h * slope).sum()), slope

    # Gains are 1.2, 1.4 and 1.6: the gradient goes on pointing against the last step.
    for iterations, length in ((1, 1.2), (2, 1.2 + (0.6 + 1.4)), (3, 1.2 + (0.6 + 1.4) + (0.3 + 0.7 + 1.6))):
        h, values = descend(Slope(), np.zeros((2, 2)), iterations)
        np.testing.assert_allclose(h, -length * module.RATE * slope, atol=1e-12)
        assert len(values) == iterations + 1


def test_a_coordinate_whose_gradient_turns_slows_down():
    class Valley:
        counts = np.array([1.0, 1.0])
        value = 0.0

        def __call__(self, h):
            self.value -= 1  # the last point is always the best
            return self.value, np.sign(h) / module.RATE

    start = np.array([[1.0], [-1.0]])
    # A step of -1.2 over the ground, then half of it with one of 0.8 * 1.2 against it.
    for iterations, place in ((1, -0.2), (2, -0.2 - 0.6 + 0.96)):
        np.testing.assert_allclose(descend(Valley(), start, iterations)[0], place * start, atol=1e-12)


def test_the_best_point_is_kept(sets):
    distinct, _, counts = sets
    objective = Divergence(unit_labels(distinct), counts, 0.01)
    best, values = descend(objective, 1e-4 * points(sets), 60)
    assert len(values) == 61 and min(values) < values[0] - 0.1
    assert objective(best)[0] == min(values)
    assert (np.diff(values) > 0).any()  # the descent is not monotone


def test_steps_above_the_usual_number_of_items_are_those_of_the_same_shares(sets):
    distinct, of_item, _ = sets
    few = label_codes(distinct[np.repeat(of_item, 100)], 8, 50, 0.01, 0)
    many = label_codes(distinct[np.repeat(of_item, 1000)], 8, 50, 0.01, 0)
    np.testing.assert_allclose(many.objective, few.objective, rtol=0.01)
    np.testing.assert_array_equal(many.bits[::1000], few.bits[::100])


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_classes_get_a_code_each_which_retrieves_the_train_part_perfectly(bits):
    labels = np.eye(10, dtype=bool)[np.random.default_rng(2).integers(10, size=800)]
    codes = label_codes(labels, bits, 100, 0.01, 0)
    assert codes.known.all()
    packed = pack(codes.bits)
    assert len(np.unique(packed, axis=0)) == 10
    assert mean_average_precision(packed, packed, labels, "hamming") == 1.0
    assert codes.bits.any(axis=0).all() and not codes.bits.all(axis=0).any()


def test_codes_depend_on_the_seed_alone():
    labels = np.random.default_rng(3).random((100, 5)) < 0.5
    one, again, other = (label_codes(labels, 16, 20, 0.01, seed).bits for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_rare_sets_take_the_vote_of_the_learnt_sets_that_agree_most(monkeypatch):
    a, b, c, d = np.eye(4, dtype=bool)
    labels = np.array([a] * 9 + [b] * 4 + [c | d] * 3 + [a | b, a | c | d, d])
    alone = label_codes(labels[:16], 16, 50, 0.01, 0)
    monkeypatch.setattr(module, "MOST_SETS", 3)
    codes = label_codes(labels, 16, 50, 0.01, 0)
    of_a, of_b, of_cd, of_ab, of_acd, of_d = codes.bits[[0, 9, 13, 16, 17, 18]]
    assert len(np.unique(codes.bits[[0, 9, 13]], axis=0)) == 3
    # Columns of h are centred, so that the vote of 9 h_a + 4 h_b is -3 h_cd.
    np.testing.assert_array_equal(of_ab, ~of_cd)
    assert (of_a != of_b).any()
    np.testing.assert_array_equal(of_acd, of_cd)
    np.testing.assert_array_equal(of_d, of_cd)
    np.testing.assert_array_equal(codes.bits[:16], alone.bits)
    assert codes.known.all()


@pytest.mark.parametrize("most", [5, 5000])
def test_labels_of_which_no_two_items_share_one_are_refused(monkeypatch, most):
    monkeypatch.setattr(module, "MOST_SETS", most)
    with pytest.raises(UserError, match="seph: no two pairs of the train part have a class in common"):
        label_codes(np.eye(7, dtype=bool), 8, 20, 0.01, 0)
    assert label_codes(np.eye(5, dtype=bool)[[0, 1, 2, 3, 4, 4]], 8, 20, 0.01, 0).known.all()


def test_items_without_a_label_or_with_none_that_was_learnt_have_no_code(monkeypatch):
    monkeypatch.setattr(module, "MOST_SETS", 2)
    labels = np.array([[1, 0, 0]] * 3 + [[0, 1, 0]] * 3 + [[0, 0, 1]] + [[0, 0, 0]] * 5, dtype=bool)
    np.testing.assert_array_equal(label_codes(labels, 8, 20, 0.01, 0).known, [True] * 6 + [False] * 6)
