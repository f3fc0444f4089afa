import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from cmr import critical_difference
from cmr.figure_style import PALETTE, WIDTH
from tests.drawn import drawn

# CSAEC's methods over its four data sets: the critical difference is 3.770.
RANKS = {"CCA": 5.75, "BLM": 4.25, "LCFS": 3.625, "LGCFL": 3.25, "JFSSL": 3.125, "CSAEC": 1.0}
TITLES = ["CCA", "KCCA (polynomial)", "Correspondence cross-modal autoencoder", *(f"Method {k}" for k in range(12))]


def many(k):
    return dict(zip(TITLES[:k], np.linspace(1.5, k - 0.5, k).tolist(), strict=True))


def diagram(ranks, n):
    """The whole figure, and its one panel."""
    figure = drawn(critical_difference.draw(ranks, n))
    (panel,) = figure.panels
    return figure, panel


def rules(panel, upright):
    """(lower end, higher end, place on the other axis), of lines that are no bars."""
    along, across = ("y", "x") if upright else ("x", "y")
    found = [rule for rule in panel.marks("rule") if rule["stroke"] != PALETTE[0] and ("y2" in rule) == upright]
    ends = [(*sorted((rule[along], rule.get(f"{along}2", 0))), rule[across]) for rule in found]
    return [one for one in ends if one[1] > one[0]]


def bars_of(panel):
    """(lowest rank, highest rank, place below the axis) of each bar."""
    bars = [rule for rule in panel.marks("rule") if rule["stroke"] == PALETTE[0]]
    return [(*sorted(panel.number("x", bar[end]) for end in ("x", "x2")), bar["y"]) for bar in bars]


def names_of(panel):
    """Name with its rank -> middle of its first line, in the order in which they are drawn."""
    return {text["text"]: text["y"] for text in panel.marks("text") if text["align"] == "right"}


def test_bars_join_methods_that_differ_by_less_than_the_critical_difference():
    """CSAEC and CCA, 4.75 apart, are the only two that differ."""
    others = ["JFSSL", "LGCFL", "LCFS", "BLM"]
    assert critical_difference.groups(RANKS, n=4) == [["CSAEC", *others], [*others, "CCA"]]


def test_no_bar_lies_within_another_and_every_pair_that_does_not_differ_has_one():
    ranks = dict(zip("abcdefgh", [1.2, 2.9, 3.1, 3.1, 4.6, 5.8, 7.4, 7.9], strict=True))
    found = critical_difference.groups(ranks, n=20)
    difference = 2.3479  # 3.031 sqrt(8 * 9 / 120)
    joined = {frozenset((a, b)) for group in found for a in group for b in group if a != b}
    assert joined == {
        frozenset((a, b)) for a in ranks for b in ranks if a != b and abs(ranks[a] - ranks[b]) < difference
    }
    assert not any(set(one) < set(other) for one in found for other in found)


def test_a_method_that_differs_from_all_has_no_bar():
    assert critical_difference.groups({"a": 1.0, "b": 2.4, "c": 2.6}, n=40) == [["b", "c"]]
    assert critical_difference.groups({"a": 1.0, "b": 2.0, "c": 3.0}, n=40) == []


def test_bars_are_drawn_from_first_to_last_and_apart_from_each_other():
    ranks = dict(zip("abcdefgh", [1.2, 2.9, 3.1, 3.1, 4.6, 5.8, 7.4, 7.9], strict=True))
    _, panel = diagram(ranks, n=20)
    bars = bars_of(panel)
    groups = critical_difference.groups(ranks, n=20)
    ends = [(ranks[group[0]], ranks[group[-1]]) for group in groups]
    assert [(low, high) for low, high, _ in bars] == [pytest.approx(pair, abs=0.1) for pair in ends]
    assert all(low < first and last < high for (low, high, _), (first, last) in zip(bars, ends, strict=True))
    for k, (low, high, place) in enumerate(bars):
        for other_low, other_high, other_place in bars[k + 1 :]:
            assert place != other_place or high < other_low or other_high < low


def test_methods_stand_from_best_to_worst_with_their_ranks_and_lead_to_them():
    _, panel = diagram(RANKS, n=4)
    names = names_of(panel)
    ordered = sorted(RANKS.items(), key=lambda item: item[1])
    assert [name.split() for name in names] == [[name, f"{rank:.2f}"] for name, rank in ordered]
    heights = list(names.values())
    assert heights == sorted(heights)
    for (name, rank), height in zip(ordered, heights, strict=True):
        (dot,) = (dot for dot in panel.marks("symbol") if dot["y"] == pytest.approx(height))
        assert panel.number("x", dot["x"]) == pytest.approx(rank, abs=1e-3), name
        if rank > 1:
            assert any(rule == pytest.approx((0, dot["x"], height), abs=1e-3) for rule in rules(panel, upright=False))
        # From below its rank up to the axis, above which stand its numbers.
        (top,) = {round(rule[0], 3) for rule in rules(panel, upright=True)}
        assert any(rule == pytest.approx((top, height, dot["x"]), abs=1e-3) for rule in rules(panel, upright=True))


def test_the_critical_difference_is_drawn_to_scale():
    figure, panel = diagram(RANKS, n=4)
    span = min(rules(panel, upright=False), key=lambda rule: rule[2])
    assert [panel.number("x", end) for end in span[:2]] == pytest.approx([1, 1 + 3.770], abs=1e-3)
    caps = sorted(panel.number("x", cap["x"] + cap["width"] / 2) for cap in panel.marks("rect"))
    assert caps == pytest.approx([1, 1 + 3.770], abs=1e-3)
    (words,) = (text for text in panel.marks("text") if text["align"] == "left")
    assert words["text"] == "critical difference 3.77"
    # Both stand above the numbers of the axis, which leave them room.
    numbers = figure.of("axis-label")
    assert [word.text for word in numbers] == list("123456")
    assert words["y"] < span[2] < min(word.top for word in numbers) - panel.top


def test_a_critical_difference_wider_than_the_axis_is_told():
    """2.850 sqrt(6 * 7 / 12) = 5.33."""
    _, panel = diagram(RANKS, n=2)
    words = [text["text"] for text in panel.marks("text") if text["align"] == "left"]
    assert words == ["critical difference 5.33", "wider than the axis"]
    assert not panel.marks("rect")
    assert len(rules(panel, upright=False)) == len(RANKS) - 1  # of CSAEC, the first of all blocks, it has no length


@pytest.mark.parametrize("k", [2, 6, 15])
def test_nothing_is_cut_off_and_no_names_overlap(k):
    figure, panel = diagram(many(k), n=10)
    assert WIDTH - 30 < figure.width < WIDTH + 15
    assert figure.inside
    names = [word for word in figure.of("mark") if word.right <= panel.left]
    assert len(names) == k + (k > 2)  # the third takes two lines
    assert all(below.top > above.bottom for above, below in itertools.pairwise(names))
    assert panel.width > 0.4 * figure.width
    assert len(panel.labels["x"]) <= 8


def test_other_processes_draw_the_same_bytes():
    """Sets and strings have another order in another process."""
    code = (
        "from cmr import critical_difference, figures;"
        f"drawing = figures.in_page(critical_difference.draw({many(15)!r}, n=30), 'ranks', 'c', 'w');"
        "print(drawing.svg, drawing.spec)"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert b"KCCA (polynomial)" in told[0]


def test_words_tell_what_is_drawn():
    assert critical_difference.words(RANKS, n=4) == (
        "Average ranks over 4 blocks, 1 is best: CSAEC 1.00, JFSSL 3.12, LGCFL 3.25, LCFS 3.62, BLM 4.25, CCA 5.75. "
        "By Nemenyi's test at the level 0.05, methods differ whose ranks are 3.77 or more apart. "
        "In this order, not told apart: CSAEC to BLM; JFSSL to CCA."
    )
    assert critical_difference.words(RANKS, n=2).endswith("No two methods differ.")
    assert critical_difference.words({"a": 1.0, "b": 2.4, "c": 2.6}, n=40).endswith("not told apart: b and c.")
    assert critical_difference.words({"a": 1.0, "b": 2.0}, n=40).endswith("All methods differ from each other.")


def test_words_follow_alpha():
    """At 0.1 the quantile is 2.589: 2.589 sqrt(42 / 24) = 3.42."""
    assert "level 0.1, methods differ whose ranks are 3.42" in critical_difference.words(RANKS, n=4, alpha=0.1)


@pytest.mark.parametrize("rank", [0.5, 2.5, np.nan])
def test_ranks_that_cannot_be_are_refused(rank):
    with pytest.raises(ValueError, match="between 1 and 2; not so that of odd"):
        critical_difference.draw({"fine": 1.5, "odd": rank}, n=4)
