"""A new text or picture is seen as the run saw its own items, and ranked by what the run has learnt."""

import numpy as np
import pytest
import yaml
from PIL import Image

from cmr import store, training
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.results import Run
from cmr.search import index
from cmr.search.pipeline import Pipeline, of_image, of_text, read_pipeline
from cmr.search.runs import Wanted
from cmr.search.searcher import Searcher
from cmr.views.base import restore_stored
from cmr.views.text.bow import TfIdf
from cmr.views.text.segments import Sentences
from tests.unit.search.conftest import caption, draw, name

TRAIN, TEST = range(48), range(56, 80)


def searcher(root, method, **wanted):
    return Searcher(Catalogue.read(root), root, Wanted("made", method, **wanted))


def test_a_train_caption_finds_its_own_picture_first_and_the_picture_its_caption(trained):
    """The method learns so few pairs by heart."""
    run = searcher(trained, "kcca_gaussian")
    for number in TRAIN:
        for gallery in ("all", "train"):
            assert run.by_text(caption(number), gallery=gallery).results[0].id == name(number)
        assert run.by_image(draw(number)).results[0].id == name(number)


@pytest.mark.parametrize(("image_view", "text_view"), [("colours", "tfidf"), ("both", "tfidf")])
def test_features_of_a_new_item_are_those_that_its_view_holds(image_view, text_view, trained):
    """Fixed and learnt views, and views side by side; the views' files were made by the scripts."""
    catalogue, run = Catalogue.read(trained), Run("made", "drawn-0", image_view, text_view, "cca")
    views, of_split = trained / "data/views/made", trained / "data/views/made/drawn-0"
    stored = store.read_view(views / "image/colours.h5" if image_view == "colours" else of_split / "image/both.h5")
    texts = store.read_view(of_split / "text/tfidf.h5")
    image, text = (read_pipeline(catalogue, trained, run, side) for side in ("image", "text"))
    for number in (0, 50, 78):
        np.testing.assert_allclose(of_image(image, draw(number))[0], stored.rows([name(number)])[0], rtol=1e-6)
    for number in (0, 5, 47):
        features, unknown = of_text(text, caption(number))
        np.testing.assert_array_equal(features[0], texts.rows([name(number)])[0])
        assert unknown == []


def test_an_item_and_its_parts_are_one_row_as_a_method_is_trained_on_them(trained):
    views = trained / "data/views/made"
    text, parts = views / "drawn-0/text/tfidf.h5", views / "drawn-0/text/tfidf_sentences.h5"
    data = trained / "data/datasets/made"
    files = data / "pairs.parquet", data / "splits/drawn-0.parquet", views / "image/colours.h5", text
    run = training.read_run(*files, text_patches=parts)
    restored = []
    options = {"vocabulary_size": 1000}
    for path, view in ((text, TfIdf(**options)), (parts, Sentences("cmr.views.text.bow.TfIdf", options))):
        with store.ViewFile.open(path) as file:
            restored.append(restore_stored(view, file.arrays()))
    features, _ = of_text(Pipeline("tfidf", (restored[0],), restored[1]), caption(3))
    (row,) = np.flatnonzero(run.ids["train"] == name(3))
    np.testing.assert_array_equal(features[0], run.parts["train"].texts[row])


def test_galleries_are_the_parts_that_they_say(trained):
    run = searcher(trained, "cca")
    found = {part: {one.id for one in run.by_text("red", top=1000, gallery=part).results} for part in
             ("all", "train", "test")}  # fmt: skip
    assert found["train"] == {name(number) for number in TRAIN}
    assert found["test"] == {name(number) for number in TEST}
    assert found["all"] == {name(number) for number in range(80)}


def test_scores_descend_and_are_those_of_the_stored_embeddings(trained):
    """The test part's embeddings were written by the training."""
    run = searcher(trained, "cca")
    answer = run.by_text("a green kettle", gallery="test", top=24)
    arrays = store.read_arrays(trained / "results/runs/made/drawn-0/colours+tfidf/cca/embeddings.h5")[0]
    features, _ = of_text(run._pipeline("text"), "a green kettle")
    query, images = run.trained.model.embed_texts(features)[0], arrays["0/test/images"]
    cosines = images @ query / np.linalg.norm(images, axis=1) / np.linalg.norm(query)
    expected = dict(zip(arrays["test/ids"], cosines, strict=True))
    for one in answer.results:
        assert one.score == pytest.approx(expected[one.id], abs=1e-5)
    assert [one.score for one in answer.results] == sorted((one.score for one in answer.results), reverse=True)
    assert [one.rank for one in answer.results] == list(range(1, 25))


def test_posteriors_tell_the_class_that_the_query_names(trained):
    answer = searcher(trained, "sm").by_text("something blue", explain=True)
    assert answer.posteriors.query[0][0] == "blue" and not answer.neighbours
    assert len(answer.posteriors.results) == 10
    assert all(sum(share for _, share in shares) + 0.35 > 0.99 and shares for shares in answer.posteriors.results)
    assert {one.labels for one in answer.results[:3]} == {("blue",)}


def test_without_posteriors_the_nearest_train_items_of_the_querys_kind_are_told(trained):
    run = searcher(trained, "kcca_gaussian")
    near = run.by_text(caption(9), explain=True)
    assert near.posteriors is None
    assert near.neighbours[0].id == name(9) and near.neighbours[0].text == caption(9)
    assert {one.id for one in near.neighbours} <= {name(number) for number in TRAIN}
    assert run.by_image(draw(30), explain=True).neighbours[0].id == name(30)
    assert run.by_text(caption(9)).neighbours == ()


def test_codes_are_compared_by_bits(trained):
    answer = searcher(trained, "scm_orth").by_text("a red anchor", top=80)
    assert answer.similarity == "hamming"
    assert all(one.score == int(one.score) <= 0 for one in answer.results)


def test_unknown_words_are_told_as_they_were_written(trained):
    assert searcher(trained, "cca").by_text('The "Zebras", a red ANCHOR and zebras!').unknown == ("Zebras", "zebras")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (" \n\t", "the text is empty"),
        (b"red \xff".decode("utf-8", "surrogateescape"), "characters that are not Unicode"),
        ("the of 17 ...", "has no word that the text view"),
        ("Xyzzy, plugh!", r"knows no word of the text \(Xyzzy, plugh\): its features are all zero"),
    ],
)
def test_a_text_that_says_nothing_is_refused(text, message, trained):
    with pytest.raises(UserError, match=message):
        searcher(trained, "cca").by_text(text)


def test_a_text_of_unknown_words_is_no_reason_to_refuse_those_after_it(trained):
    run = searcher(trained, "cca")
    with pytest.raises(UserError):
        run.by_text("xyzzy")
    assert run.by_text("red").results


def test_a_picture_without_a_feature_is_refused(trained):
    class Blind:
        def features(self, images):
            return np.zeros((len(images), 3), np.float32)

    with pytest.raises(UserError, match='the image view "blind" finds nothing in this picture'):
        of_image(Pipeline("blind", (Blind(),), None), Image.new("RGB", (8, 8)))


@pytest.mark.parametrize("top", [0, -1, 1001])
def test_impossible_numbers_of_results_are_refused(top, trained):
    with pytest.raises(UserError, match=f"{top} results cannot be shown: ask for 1 to 1000"):
        searcher(trained, "cca").by_text("red", top=top)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"study": "mode"}, 'unknown study "mode"; did you mean "made"'),
        ({"method": "ccca"}, 'study made: unknown method "ccca"; did you mean "cca"'),
        ({"split": "drawn-7"}, 'unknown split "drawn-7"; did you mean "drawn-'),
        ({"dataset": "mode"}, 'unknown dataset "mode"; did you mean "made"'),
        ({"image_view": "colour"}, 'unknown image view "colour"; did you mean "colours"'),
        ({"method": "random"}, "ranks at random, and finds nothing"),
        ({"method": "hrl_paired"}, "with the help of its other side, which a query does not have"),
        ({"method": "pls"}, r"pls is not trained: .*model\.h5 does not exist\. Run `snakemake --cores 8 results/runs/"),
        ({"split": "drawn-1"}, r"cca is not trained: .*drawn-1/colours\+tfidf/cca/model\.h5 does not exist"),
        ({"seed": 3}, "has no seed 3; it has 0"),
        ({"text_view": "tags"}, r'comes with the text features "tags".* A run that can: --study made --method cca '),
    ],
)
def test_a_run_that_cannot_answer_is_refused_with_what_to_do(wanted, message, trained):
    wanted = {"study": "made", "method": "cca"} | wanted
    with pytest.raises(UserError, match=message):
        Searcher(Catalogue.read(trained), trained, Wanted(**wanted), "text")


def test_several_views_without_a_usual_one_are_to_be_chosen_among(copied):
    path = copied / "config/studies/made.yaml"
    study = yaml.safe_load(path.read_text())
    study["tables"]["map"]["image_view"] = study["setting"].pop("image_view")
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(UserError, match="has cca on several: name one by --image-view: colours, both"):
        searcher(copied, "cca")
    assert searcher(copied, "cca", image_view="both").trained.run.image_view == "both"


def test_views_that_changed_since_the_training_are_refused(copied):
    path = copied / "data/views/made/image/colours.h5"
    view = store.read_view(path)
    about = {key: value for key, value in view.attributes.items() if key != "left_out"}
    store.write_view(path, view.ids, view.values + 1, about)
    with pytest.raises(UserError, match=r"image/colours\.h5 changed after cca had learnt from it\. Run `snakemake"):
        searcher(copied, "cca")


def test_what_an_image_view_has_learnt_must_be_what_made_it(copied):
    run = searcher(copied, "cca", image_view="both")
    (copied / "data/views/made/drawn-0/image/words.fitted.h5").write_bytes(b"other")
    with pytest.raises(UserError, match=r"words\.fitted\.h5 is gone or has changed since .*words\.h5 was made by it"):
        run.by_image(draw(0))


def test_a_text_view_of_older_make_is_refused(copied):
    """Its file does not hold what it has learnt."""
    run = searcher(copied, "cca")
    path = copied / "data/views/made/drawn-0/text/tfidf.h5"
    view = store.read_view(path)
    about = {key: value for key, value in view.attributes.items() if key != "left_out"}
    store.write_view(path, view.ids, view.values, about, arrays={"train_ids": view.ids})
    with pytest.raises(UserError, match=r"tfidf\.h5 does not hold what the view has learnt"):
        run.by_text("red")


def test_a_picture_of_several_captions_is_found_once(trained):
    run = searcher(trained, "cca")
    run.trained.pairs.loc[[name(4), name(8)], "image"] = run.trained.pairs.at[name(0), "image"]
    found = [one.id for one in run.by_text("red", top=80).results]
    assert len(found) == 78 and name(0) in found and name(4) not in found
    assert len(run.by_image(draw(0), top=80).results) == 80


def test_a_large_gallery_is_indexed_once_and_anew_when_the_model_changes(copied, monkeypatch):
    exact = [one.id for one in searcher(copied, "cca").by_text(caption(5)).results]
    monkeypatch.setattr(index, "EXACT", 40)
    answer = searcher(copied, "cca").by_text(caption(5))
    assert answer.approximate and answer.results[0].id == exact[0] == name(5)
    (cached,) = (copied / "results/search/index").rglob("*.faiss")
    with monkeypatch.context() as patched:
        patched.setattr(index.InvertedFile, "build", None)  # cannot be called
        assert searcher(copied, "cca").by_text(caption(5)).results == answer.results
    model = copied / "results/runs/made/drawn-0/colours+tfidf/cca/model.h5"
    arrays, about = store.read_arrays(model)
    store.write_arrays(model, arrays | {"0/more": np.zeros(1)}, about)
    searcher(copied, "cca").by_text(caption(5))
    (new,) = (copied / "results/search/index").rglob("*.faiss")
    assert new.name != cached.name
