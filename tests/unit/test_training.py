"""Selection on the valid part, seeds, and what a run leaves behind."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from cmr import files, store, training
from cmr.errors import UserError
from cmr.evaluation import evaluate_run
from cmr.methods.base import InfeasibleError, NotApplicableError, Pairs, PerTask, Unlabelled
from cmr.methods.linear.cca import CCA
from cmr.methods.linear.sm import SM
from cmr.methods.random import RandomRanking
from cmr.metrics import bimodal_map, mean_average_precision
from cmr.provenance import commit

CCA_NAME = "cmr.methods.linear.cca.CCA"
ROOT = Path(__file__).parents[2]


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
    np.testing.assert_array_equal(whole.models[0].image.weights, without.models[0].image.weights)


def test_where_the_test_part_is_selected_on_it_takes_the_place_of_the_valid_part(parts):
    """As a split whose valid part is the test part; such a run says so, and needs no valid part."""
    grid = {"n_components": [1, 2, 3], "ridge": [0.001, 1.0]}
    own = training.train(CCA_NAME, {}, grid, {name: parts[name] for name in ("train", "test")}, [0], select_on="test")
    usual = training.train(CCA_NAME, {}, grid, parts, [0])
    swapped = training.train(CCA_NAME, {}, grid, parts | {"valid": parts["test"]}, [0])
    assert own.selection["candidates"] == swapped.selection["candidates"] != usual.selection["candidates"]
    assert own.selection["selected_on_test"] and not usual.selection["selected_on_test"]
    with pytest.raises(UserError, match="2 candidates need a test part to choose among them"):
        training.train(CCA_NAME, {}, {"n_components": [1, 2]}, {"train": parts["train"]}, [0], select_on="test")


@dataclass(frozen=True)
class StopsBy(CCA):
    """Keeps the part that it would stop by."""

    seen: ClassVar[list[Pairs]] = []

    def fit(self, train, valid=None, **options):
        self.seen.append(valid)
        return super().fit(train, valid)


def test_methods_are_given_the_part_that_is_selected_on(parts):
    StopsBy.seen.clear()
    for part in ("valid", "test"):
        training.train(f"{__name__}.StopsBy", {"n_components": 1}, {}, parts, [0], select_on=part)
    assert [one is parts[part] for one, part in zip(StopsBy.seen, ("valid", "test"), strict=True)] == [True, True]


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


def test_without_a_feasible_candidate_a_method_is_not_applicable_for_the_first_reason(parts):
    trained = training.train(CCA_NAME, {}, {"n_components": [50, 60]}, parts, [0])
    assert trained.models == {} and trained.not_applicable.startswith("cca: n_components is 50")
    assert len(trained.selection["candidates"]) == 2


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

    def fit(self, train, valid=None, *, seed=0, compute=None, progress=None):
        self.fitted.append(seed)
        if seed == 99:
            raise InfeasibleError("never")
        return super().fit(train, valid)


def test_every_seed_is_fitted_once(parts):
    SeedEcho.fitted.clear()
    trained = training.train(f"{__name__}.SeedEcho", {}, {}, parts, [3, 1, 2])
    assert SeedEcho.fitted == [3, 1, 2]
    assert list(trained.models) == [3, 1, 2]


def test_a_later_seed_that_cannot_be_fitted_costs_the_method_and_not_the_study(parts):
    trained = training.train(f"{__name__}.SeedEcho", {}, {}, parts, [3, 99])
    assert trained.models == {} and trained.not_applicable == "never"
    trained = training.train(f"{__name__}.SeedsAtOnce", {}, {"n_components": [1, 2]}, parts, [3, 99])
    assert trained.models == {} and len(trained.selection["candidates"]) == 2
    assert trained.not_applicable == "with seeds other than 3, which chose {'n_components': 1}: never"


@dataclass(frozen=True)
class SeedsAtOnce(SeedEcho):
    """Records which seeds it is fitted with in one go."""

    n_components: int = 1

    def fit_seeds(self, train, valid=None, *, seeds, compute=None, progress=None):
        self.fitted.append((self.n_components, list(seeds)))
        if 99 in seeds:
            raise InfeasibleError("never")
        return {seed: RandomRanking.fit(self, train) for seed in seeds}


def test_seeds_are_fitted_in_one_go_where_the_method_can_and_the_choice_is_the_first_seeds_alone(parts):
    name = f"{__name__}.SeedsAtOnce"
    SeedEcho.fitted.clear()
    assert list(training.train(name, {}, {}, parts, [3, 1, 2]).models) == [3, 1, 2]
    assert SeedEcho.fitted == [(1, [3, 1, 2])]
    SeedEcho.fitted.clear()
    assert list(training.train(name, {}, {"n_components": [1, 2]}, parts, [3, 1, 2]).models) == [3, 1, 2]
    assert SeedEcho.fitted == [(1, [3]), (2, [3]), (1, [1, 2])]


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


def test_parts_follow_the_whole_item_and_those_without_parts_are_left_out(tmp_path):
    write_run(tmp_path, np.array(["a", "b", "c", "d"]))
    about = {"kind": "patches", "counts": True}
    parts = np.arange(3 * 2, dtype=float).reshape(3, 2, 1)
    store.write_view(tmp_path / "ip.h5", ["d", "a", "b"], parts, {"kind": "patches"}, left_out=["c"])
    store.write_view(tmp_path / "tp.h5", ["a", "b", "d"], parts[:, :1], about)
    run = training.read_run(*(tmp_path / name for name in (*RUN_FILES, "ip.h5", "tp.h5")))
    assert run.left_out == {"train": 1} and set(run.provenance) == {
        "pairs", "split", "image_view", "text_view", "image_patches", "text_patches",
    }  # fmt: skip
    (train,), test = run.ids["train"], run.parts["test"]
    assert train == "d" and run.parts["train"].image_kind == test.text_kind == "patches"
    np.testing.assert_array_equal(run.parts["train"].images, [[[3.0], [0.0], [1.0]]])  # d is 3, its parts 0 and 1
    np.testing.assert_array_equal(run.parts["train"].texts, [[[30.0], [4.0]]])
    np.testing.assert_array_equal(test.images, [[[0.0], [2.0], [3.0]]])


def test_parts_of_another_width_are_refused_by_file(tmp_path):
    write_run(tmp_path, np.array(["a", "b", "c", "d"]))
    store.write_view(tmp_path / "p.h5", list("abcd"), np.ones((4, 2, 5)), {"kind": "patches", "counts": False})
    with pytest.raises(UserError, match=r"p\.h5 has rows of shape \(2, 5\); parts of .*i\.h5 are needed, 1 number"):
        training.read_run(*(tmp_path / name for name in (*RUN_FILES, "p.h5", "p.h5")))


def test_counts_of_parts_are_refused_beside_other_numbers_of_the_whole(tmp_path):
    write_run(tmp_path, np.array(["a", "b", "c", "d"]))
    store.write_view(tmp_path / "ip.h5", list("abcd"), np.ones((4, 2, 1)), {"kind": "patches"})
    store.write_view(tmp_path / "tp.h5", list("abcd"), np.ones((4, 2, 1)), {"kind": "patches", "counts": False})
    with pytest.raises(UserError, match=r"of .*tp\.h5 and .*t\.h5 only one holds word counts"):
        training.read_run(*(tmp_path / name for name in (*RUN_FILES, "ip.h5", "tp.h5")))


def test_token_numbers_stay_whole_and_bring_the_vectors_of_their_words(tmp_path):
    write_run(tmp_path, np.array(["a", "b", "c", "d"]))
    tokens = np.array([[1, 2], [2, 0], [3, 0], [1, 1]], dtype=np.int32)
    vectors = np.ones((4, 5), dtype=np.float32)
    about = {"kind": "tokens", "counts": False}
    store.write_view(
        tmp_path / "t.h5", list("abcd"), tokens, about, arrays={"vectors": vectors, "train_ids": np.array(["d"])}
    )
    run = training.read_run(*(tmp_path / name for name in RUN_FILES))
    test = run.parts["test"]
    assert (test.image_kind, test.text_kind) == ("vectors", "tokens") and test.texts.dtype == np.int32
    np.testing.assert_array_equal(test.texts, [[1, 2]])
    assert list(test.text_arrays) == ["vectors"]
    np.testing.assert_array_equal(test.text_arrays["vectors"], vectors)
    assert test.image_arrays == {}


def test_run_joins_labels_split_and_views_by_id(tmp_path):
    ids = np.array(["a", "b", "c", "d"])
    write_run(tmp_path, ids)
    run = training.read_run(*(tmp_path / name for name in RUN_FILES))
    train = run.parts["train"]
    assert list(run.ids["train"]) == ["c", "d"]  # the order of the view of images
    np.testing.assert_array_equal(train.images, [[2], [3]])
    np.testing.assert_array_equal(train.texts, [[20], [30]])
    np.testing.assert_array_equal(train.labels, [[True, False], [False, True]])
    assert train.texts_are_counts
    assert train.groups.tolist() == [0, 1]
    assert run.left_out == {}


@pytest.mark.parametrize(("part", "told"), [("valid", False), ("test", True)])
def test_the_script_writes_what_a_run_was_made_of_into_its_selection(tmp_path, part, told):
    write_run(tmp_path, np.array(["a", "b", "c", "d"]))
    inputs = dict(
        zip(("pairs", "split", "image-view", "text-view"), (tmp_path / name for name in RUN_FILES), strict=True)
    )
    outputs = {name: tmp_path / f"out/{name}" for name in ("model", "embeddings", "selection", "history")}
    options = [argument for name, path in (inputs | outputs).items() for argument in (f"--{name}", path)]
    name, seeds = "cmr.methods.random.RandomRanking", ["--seeds", "3", "5"]
    command = [sys.executable, ROOT / "scripts/train.py", name, *options, *seeds, "--select-on", part]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    selection = files.read_json(outputs["selection"])
    assert (selection["seeds"], selection["selected_on_test"]) == ([3, 5], told)
    digests = {name.replace("-", "_"): hashlib.sha256(path.read_bytes()).hexdigest() for name, path in inputs.items()}
    assert selection["inputs"] == digests
    assert selection["commit"] == commit.__wrapped__()


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


@pytest.fixture
def large_run(tmp_path, parts):
    """The files of a run on the pairs of `parts`, in the order of the data set."""
    images, texts, labels = (
        np.concatenate([getattr(part, name) for part in parts.values()]) for name in ("images", "texts", "labels")
    )
    ids = np.array([f"item{i:03d}" for i in range(len(images))])
    classes = [f"class{k}" for k in range(labels.shape[1])]
    named = [[classes[k] for k in np.flatnonzero(row)] for row in labels]
    pairs = pd.DataFrame({"id": ids, "image": "", "text": "t", "labels": named, "group": ids})
    store.write_table(tmp_path / "pairs.parquet", pairs, {"classes": classes})
    order = np.random.default_rng(0).permutation(len(ids))
    part = np.repeat(list(parts), [len(one) for one in parts.values()])
    store.write_table(tmp_path / "split.parquet", pd.DataFrame({"id": ids[order], "part": part}))
    for name, values in (("i.h5", images), ("t.h5", texts)):
        store.write_view(tmp_path / name, ids, values, {"kind": "vectors", "counts": False})
    return [tmp_path / name for name in RUN_FILES]


def test_views_too_large_for_memory_are_read_in_blocks_and_give_the_same_model(large_run, monkeypatch):
    whole = training.read_run(*large_run)
    monkeypatch.setattr(training, "IN_MEMORY", 0)
    monkeypatch.setattr(store, "BLOCK_BYTES", 4 * 5 * 7)
    streamed = training.read_run(*large_run)
    assert isinstance(streamed.parts["train"].images, store.ViewRows)
    results = [
        training.embeddings(training.train(CCA_NAME, {"n_components": 2}, {}, run.parts, [0]), run)
        for run in (whole, streamed)
    ]
    assert results[0].keys() == results[1].keys()
    for name, array in results[0].items():
        np.testing.assert_array_equal(array, results[1][name])
    np.testing.assert_array_equal(streamed.parts["train"].in_memory().texts, whole.parts["train"].texts)


def test_large_views_in_another_order_are_refused(large_run, monkeypatch):
    view = store.read_view(large_run[3])
    store.write_view(large_run[3], view.ids[::-1], view.values[::-1], {"kind": "vectors", "counts": False})
    monkeypatch.setattr(training, "IN_MEMORY", 0)
    with pytest.raises(UserError, match=r"t\.h5 has its items in another order"):
        training.read_run(*large_run)


@dataclass(frozen=True)
class TwoSpaces(CCA):
    """Components 1 and 2 where images ask, 2 alone where texts do."""

    def fit(self, train, valid=None, **options):
        return PerTask(CCA(2).fit(train, valid), CCA(1).fit(train, valid))


def test_a_method_of_two_spaces_is_embedded_and_scored_in_each(parts):
    ids = {name: np.array([f"{name}{i}" for i in range(len(part))]) for name, part in parts.items()}
    trained = training.train(f"{__name__}.TwoSpaces", {}, {}, parts, [0])
    arrays = training.embeddings(trained, training.Run(parts, ids, {}, {}))
    assert arrays["0/test/img2txt/images"].shape == (40, 2) and arrays["0/test/txt2img/texts"].shape == (40, 1)
    valid, model = parts["valid"], trained.models[0]
    images, texts = (
        [getattr(model, f"embed_{side}")(getattr(valid, side), task) for task in ("img2txt", "txt2img")]
        for side in ("images", "texts")
    )
    expected = mean_average_precision(images[0], texts[0], valid.labels, "cosine") / 2
    expected += mean_average_precision(texts[1], images[1], valid.labels, "cosine") / 2
    assert trained.selection["candidates"][0]["valid_map"] == pytest.approx(expected, rel=1e-12)


@dataclass(frozen=True)
class Curious(CCA):
    transductive: bool = True
    seen: ClassVar[list[Unlabelled]] = []

    def fit(self, train, valid=None, *, unlabelled=None, **options):
        self.seen.append(unlabelled)
        return super().fit(train, valid)


def test_a_transductive_method_is_given_features_of_the_test_part_and_no_other_is(parts):
    Curious.seen.clear()
    training.train(f"{__name__}.Curious", {"n_components": 1}, {}, parts, [0])
    training.train(f"{__name__}.Curious", {"n_components": 1, "transductive": False}, {}, parts, [0])
    given, withheld = Curious.seen
    np.testing.assert_array_equal(given.images, parts["test"].images)
    np.testing.assert_array_equal(given.texts, parts["test"].texts)
    assert withheld is None


@dataclass(frozen=True)
class Peeking(CCA):
    """Embeds an item as its other side."""

    sees_pairs: ClassVar[bool] = True

    def fit(self, train, valid=None, **options):
        return PeekingModel(super().fit(train, valid))


@dataclass(frozen=True)
class PeekingModel:
    model: Any
    history: ClassVar[dict] = {}

    def embed_images(self, images, paired_texts):
        return self.model.embed_texts(paired_texts)

    def embed_texts(self, texts, paired_images):
        return self.model.embed_images(paired_images)


def test_a_method_that_sees_pairs_is_given_them_and_its_runs_say_so(parts):
    trained, honest = (
        training.train(f"{__name__}.{name}", {"n_components": 1}, {}, parts, [0]) for name in ("Peeking", "CCA")
    )
    assert trained.selection["sees_pairs"] and not honest.selection["sees_pairs"]
    ids = {name: np.array([f"{name}{i}" for i in range(len(part))]) for name, part in parts.items()}
    own, usual = (training.embeddings(one, training.Run(parts, ids, {}, {})) for one in (trained, honest))
    np.testing.assert_array_equal(own["0/test/images"], usual["0/test/texts"])
    np.testing.assert_array_equal(own["0/test/texts"], usual["0/test/images"])
    (peeked,), (candidate,) = trained.selection["candidates"], honest.selection["candidates"]
    assert peeked["valid_map"] == pytest.approx(candidate["valid_map"])  # directions change places


class NeverDefined(CCA):
    def fit(self, train, valid=None, **options):
        raise NotApplicableError("never: it is defined for nothing")


def test_a_method_that_is_not_defined_for_the_data_ends_with_the_reason_and_no_score(parts):
    ids = {name: np.array([f"{name}{i}" for i in range(len(part))]) for name, part in parts.items()}
    trained = training.train(f"{__name__}.NeverDefined", {}, {"ridge": [0.1, 1.0]}, parts, [0, 1])
    assert trained.not_applicable == "never: it is defined for nothing" and trained.models == {}
    arrays = training.embeddings(trained, training.Run(parts, ids, {}, {}))
    assert set(arrays) == {"valid/ids", "test/ids"} and training.histories(trained).empty
    attributes = {"similarity": "cosine", "seeds": [0, 1], "not_applicable": trained.not_applicable}
    metrics, curves, queries = evaluate_run(arrays, attributes, pd.DataFrame({"id": []}))
    assert list(metrics) == ["seed", "part", "task", "metric", "value"] and metrics.empty
    assert list(curves) == ["seed", "part", "task", "recall", "precision"] and curves.empty
    assert list(queries)[:3] == ["seed", "task", "id"] and queries.empty
