"""Splits: exact sizes, classes in proportion, nothing on two sides, the same everywhere."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from cmr.datasets.splits import make_split, overlaps
from cmr.errors import UserError

SHARES = {"sizes": {"train": 0.6, "valid": 0.1, "test": 0.3}}


def made_pairs(n=600, texts=150, seed=1):
    rng = np.random.default_rng(seed)
    label = rng.choice(["a", "b", "c"], size=n, p=[0.6, 0.3, 0.1])
    ids = [f"i{k:04d}" for k in range(n)]
    return pd.DataFrame(
        {
            "id": ids,
            "text": [f"{name} caption {rng.integers(texts)}" for name in label],
            "labels": [[name] for name in label],
            "part": None,
            "group": ids,
        }
    )


@pytest.fixture(scope="module")
def many_pairs():
    """Many captions occur several times."""
    return made_pairs()


def sizes(split):
    return split["part"].value_counts().to_dict()


@pytest.mark.parametrize("seed", range(5))
def test_equal_captions_never_stand_on_both_sides(many_pairs, seed):
    assert many_pairs["text"].duplicated().sum() > 100  # the case does occur
    split = make_split(many_pairs, SHARES, seed)
    assert many_pairs.merge(split, on="id", suffixes=("_", "")).groupby("text")["part"].nunique().max() == 1
    assert overlaps(many_pairs, split) == {"group": 0, "text": 0}


def test_captions_that_differ_in_case_and_blanks_count_as_equal():
    pairs = made_pairs(60).assign(text=["A  Cat", "a cat"] * 5 + [f"dog {k}" for k in range(50)])
    split = make_split(pairs, SHARES, 0)
    assert split["part"][:10].nunique() == 1


def test_items_without_text_are_no_group():
    pairs = made_pairs(60).assign(text=None)
    assert sizes(make_split(pairs, SHARES, 0)) == {"train": 36, "valid": 6, "test": 18}


def test_items_of_a_group_stay_together_and_so_do_those_that_they_link_by_their_texts():
    pairs = made_pairs(60).assign(text=[f"text {k}" for k in range(60)])
    pairs.loc[[3, 17], "group"] = "g"
    pairs.loc[[17, 42], "text"] = "the same"
    for seed in range(8):
        part = make_split(pairs, SHARES, seed).set_index("id")["part"]
        assert part.loc[pairs["id"][[3, 17, 42]]].nunique() == 1


def test_equal_images_stay_together_where_asked():
    pairs = made_pairs(60).assign(text=[f"text {k}" for k in range(60)])
    digests = pd.Series([f"digest {k % 20}" for k in range(60)])
    protocol = {**SHARES, "grouped_by": ["image"]}
    known = dict(zip(pairs["id"], digests, strict=True))
    assert overlaps(pairs, make_split(pairs, protocol, 0, digests), known)["image"] == 0
    assert overlaps(pairs, make_split(pairs, SHARES, 0), known)["image"] > 0


def test_grouping_can_be_turned_off(many_pairs):
    split = make_split(many_pairs, {**SHARES, "grouped_by": []}, 0)
    assert overlaps(many_pairs, split)["text"] > 0


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"train": 300, "valid": 50, "test": 100}, {"train": 300, "valid": 50, "test": 100}),
        ({"train": 0.5, "valid": 0.25, "test": 0.25}, {"train": 300, "valid": 150, "test": 150}),
        ({"train": 0.333, "valid": 0.333, "test": 0.334}, {"train": 200, "valid": 200, "test": 200}),
    ],
)
def test_sizes_are_exact(many_pairs, wanted, expected):
    assert sizes(make_split(many_pairs, {"sizes": wanted}, 0)) == expected


def test_sizes_miss_by_less_than_a_group_when_all_groups_are_large():
    pairs = made_pairs(600, texts=8)  # groups of up to 60 items
    largest = pairs["text"].value_counts().max()
    for seed in range(5):
        found = sizes(make_split(pairs, SHARES, seed))
        for part, size in {"train": 360, "valid": 60, "test": 180}.items():
            assert abs(found[part] - size) < largest
        assert sum(found.values()) == 600


@pytest.mark.parametrize("images", range(20, 60))
def test_captions_of_one_image_can_always_be_split(images):
    """Groups of five, whose number need not fit the sizes."""
    pairs = made_pairs(5 * images, texts=10**6)
    pairs["group"] = [f"image {k // 5}" for k in range(len(pairs))]
    split = make_split(pairs, SHARES, 0)
    assert overlaps(pairs, split)["group"] == 0
    found = sizes(split)
    for part, share in {"train": 0.6, "valid": 0.1, "test": 0.3}.items():
        assert abs(found[part] - share * len(pairs)) < 5


def test_groups_and_single_items_have_their_share_of_every_part():
    """Items whose captions are unique are harder: a test part of such alone would be another problem."""
    pairs = made_pairs(600, texts=10**6).assign(
        text=[f"text {min(k % 200, k)}" if k < 400 else f"t{k}" for k in range(600)]
    )
    grouped = np.zeros(3)
    for seed in range(20):
        part = make_split(pairs, SHARES, seed)["part"]
        assert sizes(make_split(pairs, SHARES, seed)) == {"train": 360, "valid": 60, "test": 180}
        grouped += [(part[:400] == name).sum() / 400 / 20 for name in ("train", "valid", "test")]
    assert grouped == pytest.approx([0.6, 0.1, 0.3], abs=0.03)


def test_many_small_classes_have_their_share_too():
    pairs = made_pairs(400, texts=10**6)
    pairs["labels"] = [["large"] if k % 2 else [f"alone {k}"] for k in range(400)]
    merged = pairs.merge(make_split(pairs, SHARES, 0), on="id", suffixes=("_", ""))
    counts = pd.crosstab(merged["labels"].str[0] == "large", merged["part"])
    for part, share in {"train": 0.6, "valid": 0.1, "test": 0.3}.items():
        assert (counts[part] - 200 * share).abs().max() <= 3


def test_a_copy_that_lacks_texts_is_split_much_as_a_whole_one():
    pairs = made_pairs(600, texts=10**6).assign(text=[f"text {k}" for k in range(600)])
    pairs.loc[[7, 300], "text"] = "the same"
    whole, lacking = (make_split(table, SHARES, 0) for table in (pairs, pairs.assign(text=None)))
    assert (whole["part"] != lacking["part"]).sum() <= 6


def test_every_class_has_its_share_of_every_part():
    pairs = made_pairs(3000, texts=10**6)
    merged = pairs.merge(make_split(pairs, SHARES, 0), on="id", suffixes=("_", ""))
    counts = pd.crosstab(merged["labels"].str[0], merged["part"])
    for part, share in {"train": 0.6, "valid": 0.1, "test": 0.3}.items():
        assert np.abs(counts[part] - share * counts.sum(axis=1)).max() <= 2


def test_stratification_can_be_turned_off():
    pairs = made_pairs(3000, texts=10**6)
    merged = pairs.merge(make_split(pairs, {**SHARES, "stratified": False}, 0), on="id", suffixes=("_", ""))
    counts = pd.crosstab(merged["labels"].str[0], merged["part"])
    assert np.abs(counts["train"] - 0.6 * counts.sum(axis=1)).max() > 2


def test_items_with_several_labels_are_stratified_by_their_rarest():
    pairs = made_pairs(1000, texts=10**6)
    rare = np.arange(1000) % 50 == 0
    pairs["labels"] = [["common", *(["rare"] if is_rare else [])] for is_rare in rare]
    merged = pairs.merge(make_split(pairs, SHARES, 3), on="id", suffixes=("_", ""))
    assert merged[merged["labels"].str.len() == 2]["part"].value_counts().to_dict() == {
        "train": 12,
        "test": 6,
        "valid": 2,
    }


def test_per_class_takes_so_many_of_each_and_leaves_the_rest():
    pairs = made_pairs(1000, texts=10**6)
    split = make_split(pairs, {"per_class": {"train": 30, "valid": 5, "test": 20}}, 0)
    merged = pairs.merge(split, on="id", suffixes=("_", ""))
    counts = pd.crosstab(merged["labels"].str[0], merged["part"])
    assert (counts["train"] == 30).all() and (counts["valid"] == 5).all() and (counts["test"] == 20).all()
    assert len(split) == 3 * 55


def test_parts_of_the_source_are_kept_and_items_without_one_left_out():
    pairs = made_pairs(100).assign(part=["train"] * 60 + ["valid"] * 10 + ["test"] * 20 + [None] * 10)
    split = make_split(pairs, {"from": "source"}, 0)
    assert split["part"].tolist() == pairs["part"][:90].tolist()
    assert split["id"].tolist() == pairs["id"][:90].tolist()


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ({"valid_from_train": 0.1}, {"train": 54, "valid": 6, "test": 40}),
        ({"valid_from_train": 15}, {"train": 45, "valid": 15, "test": 40}),
        ({"valid_from_test": 0.25}, {"train": 60, "valid": 10, "test": 30}),
        ({"valid_from_test": 13}, {"train": 60, "valid": 13, "test": 27}),
    ],
)
def test_valid_part_is_taken_out_of_another_and_differs_by_seed(protocol, expected):
    pairs = made_pairs(100, texts=10**6).assign(part=["train"] * 60 + ["test"] * 40)
    first, other = (make_split(pairs, {"from": "source", **protocol}, seed) for seed in (0, 1))
    assert sizes(first) == expected
    kept = "test" if "valid_from_train" in protocol else "train"
    assert (first["part"] == kept).tolist() == (pairs["part"] == kept).tolist()
    assert (first["part"] != other["part"]).any()


def test_overlaps_count_values_of_the_source_s_own_split():
    pairs = made_pairs(6).assign(
        part=["train", "train", "test", "test", "valid", "valid"],
        text=["x", "y", "X ", "z", "w", "x"],
        group=["g", "h", "i", "g", "j", "k"],
    )
    split = make_split(pairs, {"from": "source"}, 0)
    digests = dict(zip(pairs["id"], ["1", "2", "2", "1", "3", None], strict=True))
    assert overlaps(pairs, split, digests) == {"group": 1, "text": 1, "image": 2}


def test_the_same_seed_gives_the_same_split_and_another_seed_another(many_pairs):
    first, again, other = (make_split(many_pairs, SHARES, seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert (first["part"] != other["part"]).any()


def test_splits_are_the_same_on_every_machine(many_pairs):
    """A published split must not move: this digest changes only with the algorithm."""
    split = make_split(many_pairs, {"sizes": {"train": 400, "test": 150}, "valid_from_train": 0.1}, 7)
    listing = "\n".join(f"{row.id} {row.part}" for row in split.itertuples())
    assert hashlib.sha256(listing.encode()).hexdigest()[:16] == "3e984c3237f4a403"


def test_the_order_of_keys_in_the_config_does_not_matter(many_pairs):
    turned = {"sizes": {"test": 0.3, "valid": 0.1, "train": 0.6}}
    assert make_split(many_pairs, turned, 0).equals(make_split(many_pairs, SHARES, 0))
    numbers = {"train": 20, "valid": 5, "test": 9}
    one, other = ({"per_class": dict(order)} for order in (numbers.items(), reversed(numbers.items())))
    assert make_split(many_pairs, one, 0).equals(make_split(many_pairs, other, 0))


def test_a_class_with_one_item_goes_to_some_part():
    pairs = made_pairs(100, texts=10**6)
    pairs.at[5, "labels"] = ["lonely"]
    assert sizes(make_split(pairs, SHARES, 0)) == {"train": 60, "valid": 10, "test": 30}


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"sizes": {"train": 590, "valid": 10, "test": 10}}, "needs 610 items, but the data set has 600"),
        ({"sizes": {"train": 0.9, "valid": 0.1, "test": 0.3}}, "sum to 1.3, more than the whole"),
        ({"per_class": {"train": 90, "valid": 5, "test": 5}}, r"needs 100 items of every class, .* fewer: c \(\d\d\)"),
        ({"from": "source", "valid_from_train": 0.1}, "comes without parts of its own"),
        ({"sizes": {"train": 0.6, "test": 0.4}}, "no valid part"),
    ],
)
def test_impossible_protocols_are_refused(many_pairs, protocol, message):
    with pytest.raises(UserError, match=message):
        make_split(many_pairs, protocol, 0)


def test_a_group_that_fits_nowhere_is_named():
    pairs = made_pairs(90).assign(text="all the same")
    with pytest.raises(UserError, match=r"90 items belong together .* the largest part has 30; one of them is i00"):
        make_split(pairs, {"sizes": {"train": 30, "valid": 30, "test": 30}}, 0)


@pytest.mark.parametrize("share", [30, 50, 0.001])
def test_a_valid_part_that_empties_another_is_refused(share):
    pairs = made_pairs(60, texts=10**6).assign(part=["train"] * 30 + ["test"] * 30)
    with pytest.raises(UserError, match=f"valid_from_train: {share} of 30 items leaves one of the two parts empty"):
        make_split(pairs, {"from": "source", "valid_from_train": share}, 0)


def test_numbers_of_a_class_that_groups_do_not_allow_are_told(caplog):
    pairs = made_pairs(300, texts=10**6).assign(labels=[[name] for name in ["a", "b"] * 150])
    protocol = {"per_class": {"train": 30, "valid": 5, "test": 5}}
    make_split(pairs, protocol, 0)
    assert not caplog.records
    pairs["group"] = [f"g{k // 4}{k % 2}" for k in range(300)]  # two items of one class each
    make_split(pairs, protocol, 0)
    assert "groups do not allow the numbers of every class: {'" in caplog.text


def test_the_valid_part_is_drawn_by_the_rules_of_the_split():
    pairs = made_pairs(300, texts=20).assign(part=["test"] * 100 + ["train"] * 200)
    digests = pd.Series([f"d{k // 2}" for k in range(300)])
    known = dict(zip(pairs["id"], digests, strict=True))
    by_text = make_split(pairs, {"from": "source", "valid_from_train": 0.3}, 0)
    drawn = by_text[by_text["part"] != "test"]
    assert overlaps(pairs, drawn)["text"] == 0
    free = make_split(pairs, {"from": "source", "valid_from_train": 0.3, "grouped_by": []}, 0)
    assert overlaps(pairs, free[free["part"] != "test"])["text"] > 0
    by_image = {"from": "source", "valid_from_train": 0.3, "grouped_by": ["image"]}
    split = make_split(pairs, by_image, 0, digests)
    assert overlaps(pairs, split[split["part"] != "test"], known)["image"] == 0
    shuffled = pairs.iloc[::-1].reset_index(drop=True)  # the train rows first: digests must follow their rows
    split = make_split(shuffled, by_image, 0, shuffled["id"].map(known))
    assert overlaps(shuffled, split[split["part"] != "test"], known)["image"] == 0
    large = made_pairs(2000, texts=10**6).assign(part=["test"] * 500 + ["train"] * 1500)
    spread = {}
    for stratified in (True, False):
        protocol = {"from": "source", "valid_from_train": 0.2, "stratified": stratified}
        merged = large.merge(make_split(large, protocol, 0), on="id", suffixes=("_", ""))
        counts = pd.crosstab(merged["labels"].str[0], merged["part"])
        spread[stratified] = (counts["valid"] - 0.2 * (counts["valid"] + counts["train"])).abs().max()
    assert spread[True] <= 2 < spread[False]


@pytest.mark.parametrize("labels", [[], ["a", "b"]])
def test_per_class_needs_one_label_an_item(many_pairs, labels):
    pairs = many_pairs.copy()
    pairs.at[3, "labels"] = labels
    with pytest.raises(UserError, match="exactly one label an item"):
        make_split(pairs, {"per_class": {"train": 3, "valid": 1, "test": 1}}, 0)


def test_a_second_valid_part_is_refused():
    pairs = made_pairs(30).assign(part=["train", "valid", "test"] * 10)
    with pytest.raises(UserError, match="splits without a valid part"):
        make_split(pairs, {"from": "source", "valid_from_train": 0.1}, 0)
