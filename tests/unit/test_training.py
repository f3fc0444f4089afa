"""Selection on the valid part, seeds, and what a run leaves behind."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from cmr import store, training
from cmr.errors import UserError
from cmr.methods.base import InfeasibleError, Pairs
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.sm import SM
from cmr.methods.random import RandomRanking
from cmr.metrics import bimodal_map

CCA_NAME = "cmr.methods.linear.cca.CCA"


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)

    def make(n):
        classes = rng.integers(4, size=n)
        images = np.eye(4)[classes] @ np.ones((4, 6)) * classes[:, None] + rng.normal(size=(n, 6))
        texts = np.eye(4)[classes] + rng.normal(scale=0.5, size=(n, 4))
        return Pairs(images, texts, np.eye(4, dtype=bool)[classes])

    return {"train": make(80), "valid": make(30), "test": make(40)}


def test_chosen_candidate_has_the_best_valid_map_by_independent_scoring(parts):
    grid = {"n_components": [1, 2, 3], "ridge": [0.001, 1.0]}
    trained = training.train(CCA_NAME, {"power": 0.0}, grid, parts, seeds=[0])
    valid = parts["valid"]

    def score(k, ridge):
        model = CCA(k, ridge).fit(parts["train"])
        return bimodal_map(model.embed_images(valid.images), model.embed_texts(valid.texts), valid.labels, "cosine")

    expected = {(k, ridge): score(k, ridge) for k in grid["n_components"] for ridge in grid["ridge"]}
    recorded = {
        (r["hyperparameters"]["n_components"], r["hyperparameters"]["ridge"]): r["valid_map"]
        for r in trained.selection["candidates"]
    }
    assert recorded == pytest.approx(expected)
    chosen = trained.selection["chosen"]
    assert (chosen["n_components"], chosen["ridge"]) == max(expected, key=expected.get)


def test_test_part_plays_no_role_in_training(parts):
    grid = {"n_components": [1, 2, 3]}
    whole = training.train(CCA_NAME, {}, grid, parts, [0])
    without = training.train(CCA_NAME, {}, grid, {name: parts[name] for name in ("train", "valid")}, [0])
    assert whole.selection["chosen"] == without.selection["chosen"]
    np.testing.assert_array_equal(whole.models[0].w_x, without.models[0].w_x)


def test_infeasible_candidates_are_recorded_and_passed_over(parts):
    trained = training.train(CCA_NAME, {}, {"n_components": [50, 2]}, parts, [0])
    first, second = trained.selection["candidates"]
    assert "at most" in first["infeasible"]
    assert trained.selection["chosen"] == second["hyperparameters"] == {"n_components": 2}


def test_items_without_features_are_counted(parts):
    texts = parts["test"].texts.copy()
    texts[:3] = 0
    blank = parts | {"test": Pairs(parts["test"].images, texts, parts["test"].labels)}
    selection = training.train(CCA_NAME, {"n_components": 2}, {}, blank, [0]).selection
    assert selection["featureless"]["test"] == {"images": 0, "texts": 3}
    assert selection["featureless"]["train"] == {"images": 0, "texts": 0}
    assert selection["sizes"] == {"train": 80, "valid": 30, "test": 40}


def test_no_feasible_candidate_stops_with_the_reasons(parts):
    with pytest.raises(UserError, match="no candidate can be fitted"):
        training.train(CCA_NAME, {}, {"n_components": [50, 60]}, parts, [0])


def test_grid_without_a_valid_part_is_refused(parts):
    with pytest.raises(UserError, match="need a valid part"):
        training.train(CCA_NAME, {}, {"n_components": [1, 2]}, {"train": parts["train"]}, [0])


def test_nothing_to_choose_needs_no_valid_part(parts):
    trained = training.train(CCA_NAME, {"n_components": 2}, {}, {"train": parts["train"]}, [0])
    assert trained.selection["chosen"] == {"n_components": 2}


def test_unknown_hyperparameter_is_refused_by_name(parts):
    with pytest.raises(UserError, match='CCA has no option "rigde"'):
        training.train(CCA_NAME, {"rigde": 1.0}, {}, parts, [0])


@dataclass(frozen=True)
class SeedEcho(RandomRanking):
    """Records the seeds that it is fitted with."""

    fitted = []  # noqa: RUF012 - shared on purpose

    def fit(self, train, valid=None, *, seed=0, device="cpu", progress=None):
        self.fitted.append(seed)
        if seed == 99:
            raise InfeasibleError("never")
        return super().fit(train, valid)


def test_every_seed_is_fitted_once(parts):
    SeedEcho.fitted.clear()
    trained = training.train(f"{__name__}.SeedEcho", {}, {}, parts, [3, 1, 2])
    assert SeedEcho.fitted == [3, 1, 2]
    assert list(trained.models) == [3, 1, 2]


@pytest.mark.parametrize("method", [CCA(2), SM(), RandomRanking()])
def test_restored_model_embeds_as_the_fitted_one(parts, method):
    model = method.fit(parts["train"])
    restored = method.restore(model.state())
    np.testing.assert_array_equal(restored.embed_images(parts["test"].images), model.embed_images(parts["test"].images))
    np.testing.assert_array_equal(restored.embed_texts(parts["test"].texts), model.embed_texts(parts["test"].texts))


RUN_FILES = ("pairs.parquet", "split.parquet", "i.h5", "t.h5")


def write_run(folder, ids, left_out=(), texts_left_out=()):
    """Four items, of which the last two train; image features count them, text features are ten times that."""
    labels = [["x"], ["y"], ["x"], ["y"]]
    pairs = pd.DataFrame({"id": ids, "image": "", "text": "t", "labels": labels, "group": ids})
    store.write_table(folder / "pairs.parquet", pairs, {"classes": ["x", "y"]})
    split = pd.DataFrame({"id": ids[::-1], "part": ["train", "train", "valid", "test"]})
    store.write_table(folder / "split.parquet", split)
    rows = [row for row in (2, 0, 3, 1) if ids[row] not in left_out]
    store.write_view(folder / "i.h5", ids[rows], np.array(rows, dtype=float)[:, None], {"kind": "vectors"}, left_out)
    rows = [row for row in range(4) if ids[row] not in texts_left_out]
    about = {"kind": "vectors", "counts": True}
    store.write_view(folder / "t.h5", ids[rows], 10.0 * np.array(rows)[:, None], about, texts_left_out)


@pytest.mark.parametrize("kind", ["patches", "tokens"])
def test_view_that_is_no_vector_an_item_is_refused(tmp_path, kind):
    write_run(tmp_path, np.array(["a", "b", "c", "d"]))
    store.write_view(tmp_path / "t.h5", list("abcd"), np.ones((4, 2)), {"kind": kind, "counts": False})
    with pytest.raises(UserError, match=rf"t\.h5 holds {kind}, but methods learn from one vector an item"):
        training.read_run(*(tmp_path / name for name in RUN_FILES))


def test_run_joins_labels_split_and_views_by_id(tmp_path):
    ids = np.array(["a", "b", "c", "d"])
    write_run(tmp_path, ids)
    run = training.read_run(*(tmp_path / name for name in RUN_FILES))
    train = run.parts["train"]
    assert list(run.ids["train"]) == ["d", "c"]
    np.testing.assert_array_equal(train.images, [[3], [2]])
    np.testing.assert_array_equal(train.texts, [[30], [20]])
    np.testing.assert_array_equal(train.labels, [[False, True], [True, False]])
    assert train.texts_are_counts
    assert train.groups.tolist() == [0, 1]
    assert run.left_out == {}


def test_run_leaves_out_what_a_view_leaves_out_and_counts_it(tmp_path):
    ids = np.array(["a", "b", "c", "d"])
    write_run(tmp_path, ids, left_out=["d"])
    run = training.read_run(*(tmp_path / name for name in RUN_FILES))
    assert list(run.ids["train"]) == ["c"] and run.left_out == {"train": 1}
    write_run(tmp_path, ids, texts_left_out=["c"])
    run = training.read_run(*(tmp_path / name for name in RUN_FILES))
    assert list(run.ids["train"]) == ["d"] and run.left_out == {"train": 1}
    write_run(tmp_path, ids, left_out=["a"])
    with pytest.raises(UserError, match="no item of the test part is left"):
        training.read_run(*(tmp_path / name for name in RUN_FILES))


def test_pairs_without_classes_are_relevant_by_group():
    pairs = Pairs(np.ones((3, 1)), np.ones((3, 1)), np.ones((3, 0), dtype=bool), groups=np.array([4, 9, 4]))
    assert (pairs.relevance.astype(int) @ pairs.relevance.T.astype(int)).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    alone = Pairs(np.ones((3, 1)), np.ones((3, 1)), np.ones((3, 0), dtype=bool))
    np.testing.assert_array_equal(alone.relevance, np.eye(3, dtype=bool))
    labelled = Pairs(np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 5), dtype=bool), groups=np.array([0, 1]))
    assert labelled.relevance.shape == (2, 5)


def test_embeddings_hold_valid_and_test_but_not_train(parts):
    ids = {name: np.array([f"{name}{i}" for i in range(len(part))]) for name, part in parts.items()}
    trained = training.train(CCA_NAME, {"n_components": 2}, {}, parts, [0, 7])
    arrays = training.embeddings(trained, training.Run(parts, ids, {}, {}))
    assert sorted(arrays) == sorted(
        [f"{part}/ids" for part in ("valid", "test")]
        + [f"{seed}/{part}/{side}" for seed in (0, 7) for part in ("valid", "test") for side in ("images", "texts")]
    )
    assert arrays["7/test/images"].shape == (40, 2)


def test_pairs_of_unequal_length_or_with_nan_are_refused():
    with pytest.raises(UserError, match="2, 3 and 2"):
        Pairs(np.ones((2, 1)), np.ones((3, 1)), np.ones((2, 1), dtype=bool))
    with pytest.raises(UserError, match="texts: 1 rows hold NaN"):
        Pairs(np.ones((2, 1)), np.array([[1.0], [np.nan]]), np.ones((2, 1), dtype=bool))
