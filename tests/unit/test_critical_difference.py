import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cmr import critical_difference
from cmr.figure_style import PALETTE, WIDTH

# CSAEC's methods over its four data sets: the critical difference is 3.770.
RANKS = {"CCA": 5.75, "BLM": 4.25, "LCFS": 3.625, "LGCFL": 3.25, "JFSSL": 3.125, "CSAEC": 1.0}
TITLES = ["CCA", "KCCA (polynomial)", "Correspondence cross-modal autoencoder", *(f"Method {k}" for k in range(12))]


def many(k):
    return dict(zip(TITLES[:k], np.linspace(1.5, k - 0.5, k).tolist(), strict=True))


def bars_of(figure):
    """(lowest rank, highest rank, place below the axis) of each bar."""
    lines = [lines for lines in figure.axes[0].collections if tuple(lines.get_color()[0][:3]) == to_rgb(PALETTE[0])]
    segments = [lines.get_segments()[0] for lines in lines]
    return [(segment[0, 0], segment[1, 0], segment[0, 1]) for segment in segments]


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
    bars = bars_of(critical_difference.draw(ranks, n=20))
    groups = critical_difference.groups(ranks, n=20)
    ends = [(ranks[group[0]], ranks[group[-1]]) for group in groups]
    assert [(low, high) for low, high, _ in bars] == [pytest.approx(pair, abs=0.1) for pair in ends]
    assert all(low < first and last < high for (low, high, _), (first, last) in zip(bars, ends, strict=True))
    for k, (low, high, place) in enumerate(bars):
        for other_low, other_high, other_place in bars[k + 1 :]:
            assert place != other_place or high < other_low or other_high < low


def test_methods_stand_from_best_to_worst_with_their_ranks_and_lead_to_them():
    axes = critical_difference.draw(RANKS, n=4).axes[0]
    told = [label.get_text().split() for label in axes.get_yticklabels()]
    assert told == [[name, f"{rank:.2f}"] for name, rank in sorted(RANKS.items(), key=lambda item: item[1])]
    heights = axes.get_yticks()
    assert axes.transData.transform([(1, height) for height in heights])[:, 1].tolist() == sorted(
        axes.transData.transform([(1, height) for height in heights])[:, 1], reverse=True
    )
    elbows = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == 3]
    assert [(elbow[0, 1], elbow[2, 0], elbow[2, 1]) for elbow in elbows] == [
        (height, rank, 0) for height, rank in zip(heights, sorted(RANKS.values()), strict=True)
    ]


def test_the_critical_difference_is_drawn_to_scale():
    axes = critical_difference.draw(RANKS, n=4).axes[0]
    ends = axes.containers[0].lines[2][0].get_segments()[0][:, 0]
    assert ends == pytest.approx([1, 1 + 3.770], abs=1e-3)
    assert [text.get_text() for text in axes.texts] == ["critical difference 3.77"]


def test_a_critical_difference_wider_than_the_axis_is_told():
    """2.850 sqrt(6 * 7 / 12) = 5.33."""
    axes = critical_difference.draw(RANKS, n=2).axes[0]
    assert [text.get_text() for text in axes.texts] == ["critical difference 5.33", "wider than the axis"]
    assert not axes.containers


@pytest.mark.parametrize("k", [2, 6, 15])
def test_nothing_is_cut_off_and_no_names_overlap(k):
    figure = critical_difference.draw(many(k), n=10)
    figure.draw_without_rendering()
    assert figure.get_figwidth() == WIDTH
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 > below.y1 - 2 for above, below in itertools.pairwise(labels))
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.x1 <= figure.get_figwidth()
    assert box.y0 >= 0
    assert box.y1 <= figure.get_figheight()
    assert figure.axes[0].get_window_extent().width > 0.4 * figure.bbox.width


def test_other_processes_draw_the_same_bytes():
    """Sets and strings have another order in another process."""
    code = (
        "import io; from cmr import critical_difference; from cmr.figure_style import STYLE; import matplotlib;"
        f"figure = critical_difference.draw({many(15)!r}, n=30); buffer = io.StringIO();"
        "matplotlib.rcParams.update(STYLE); figure.savefig(buffer, format='svg', metadata={'Date': None});"
        "print(buffer.getvalue())"
    )
    drawn = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert drawn[0] == drawn[1]
    assert b"KCCA (polynomial)" in drawn[0]


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
