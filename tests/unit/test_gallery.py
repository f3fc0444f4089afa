import base64
import io
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cmr import store
from cmr.errors import UserError
from cmr.gallery import THUMBNAIL, make_gallery, read_gallery, render
from cmr.results import TASK_TITLES
from tests.made_study import CONFIG, HOSTILE, made_study, write_dataset

SPEC = CONFIG["gallery"]
ATTRIBUTES = {"similarity": "cosine", "seeds": [0], "not_applicable": None}
ALL_SEEN = {"img": np.zeros(45, dtype=bool), "txt": np.zeros(45, dtype=bool)}  # every item has features


def made_embeddings(ids, seed=0):
    rng = np.random.default_rng(seed)
    images, texts = rng.normal(size=(2, len(ids), 5)).astype(np.float32)
    return {"test/ids": np.asarray(ids, dtype=object), "0/test/images": images, "0/test/texts": texts}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    pairs = write_dataset(root)
    return pairs, made_embeddings(pairs["id"]), root / "data/raw"


@pytest.fixture(scope="module")
def gallery(made):
    pairs, embeddings, raw = made
    return gallery_of(SPEC, pairs, embeddings, raw)


def gallery_of(spec, pairs, embeddings, raw):
    """Of one method."""
    return make_gallery(spec, "Made pictures", {"CCA": (embeddings, ATTRIBUTES)}, pairs, ALL_SEEN, raw)


def results_of(gallery):
    return [
        result
        for found in gallery.tasks.values()
        for r in found
        for ranking in r.rankings
        for result in ranking.results
    ]


def nearest(query, gallery):
    """Gallery rows by descending cosine."""
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, gallery)]
    return np.argsort(-(unit[1] @ unit[0]))


def test_results_are_the_nearest_texts_of_each_query_image(made, gallery):
    pairs, embeddings, _ = made
    for retrieval in gallery.tasks[TASK_TITLES["img2txt"]]:
        row = list(pairs["id"]).index(retrieval.query.id)
        expected = nearest(embeddings["0/test/images"][row], embeddings["0/test/texts"])[:4]
        assert [result.item.id for result in retrieval.rankings[0].results] == list(pairs["id"].iloc[expected])


def test_all_modal_results_leave_out_the_query_but_not_its_pair(made):
    pairs, embeddings, raw = made
    same = embeddings | {"0/test/texts": embeddings["0/test/images"]}
    gallery = gallery_of(SPEC, pairs, same, raw)
    for retrieval in gallery.tasks[TASK_TITLES["img2all"]]:
        first = retrieval.rankings[0].results[0].item
        assert (first.id, first.source) == (retrieval.query.id, None)  # its text
        assert not any(r.item.id == retrieval.query.id and r.item.source for r in retrieval.rankings[0].results)


def test_frames_tell_whether_a_result_shares_a_label(made, gallery):
    labels = dict(zip(made[0]["id"], made[0]["labels"], strict=True))
    marks = [
        (result.relevant, bool(set(labels[retrieval.query.id]) & set(labels[result.item.id])))
        for found in gallery.tasks.values()
        for retrieval in found
        for result in retrieval.rankings[0].results
    ]
    assert all(shown == true for shown, true in marks)
    assert {shown for shown, _ in marks} == {True, False}


def test_items_with_several_labels_need_share_only_one(tmp_path):
    labels = [["bird & co", "fish"] if i % 2 else ["fish", "tree"] for i in range(45)]
    pairs = write_dataset(tmp_path, labels)
    gallery = gallery_of(SPEC, pairs, made_embeddings(pairs["id"]), tmp_path / "data/raw")
    assert all(result.relevant for result in results_of(gallery))


def test_one_query_a_class_the_same_every_time(made, gallery):
    pairs, embeddings, raw = made
    again = gallery_of(SPEC, pairs, embeddings, raw)
    assert again == gallery
    queries = [retrieval.query for retrieval in gallery.tasks[TASK_TITLES["img2txt"]]]
    assert sorted(query.labels[0] for query in queries) == ["bird & co", "fish", "tree"]


def test_queries_do_not_depend_on_how_well_they_do(made, gallery):
    pairs, _, raw = made
    other = gallery_of(SPEC, pairs, made_embeddings(pairs["id"], seed=1), raw)
    assert queries_of(other) == queries_of(gallery)


def queries_of(gallery):
    return [retrieval.query.id for found in gallery.tasks.values() for retrieval in found]


class Page(HTMLParser):
    """Images, frames and the text beside them, as a browser would see them."""

    def __init__(self, html):
        super().__init__()
        self.images, self.frames, self.tags, self.text = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(attributes)
        if tag == "li" and attributes.get("class") in ("hit", "miss"):
            self.frames.append([attributes["class"], ""])

    def handle_data(self, data):
        self.text += data
        if self.frames:
            self.frames[-1][1] += data


def test_page_frames_agree_with_ticks_and_class_names(gallery):
    results = results_of(gallery)
    frames = Page(render(gallery)).frames
    assert len(frames) == len(results)
    for (kind, text), result in zip(frames, results, strict=True):
        assert kind == ("hit" if result.relevant else "miss")
        assert ("✓" in text.split("Query")[0]) == result.relevant
        assert result.item.labels[0] in text


def write_gallery_files(folder, pairs, runs, values=None):
    """The files that `read_gallery` reads, of runs method -> (arrays, attributes); views without zeros by default."""
    store.write_table(folder / "pairs.parquet", pairs, pairs.attrs)
    files = [folder / f"made/random-0/pixels+bow/{method}/embeddings.h5" for method in runs]
    for path, (arrays, attributes) in zip(files, runs.values(), strict=True):
        store.write_arrays(path, arrays, attributes)
    values = values or dict.fromkeys(("images", "texts"), np.ones((45, 2), dtype=np.float32))
    for side, rows in values.items():
        # Views may hold their items in another order, and more than the test part.
        store.write_view(folder / f"{side}.h5", [*pairs["id"][::-1], "other"], np.vstack([rows[::-1], rows[:1]]), {})
    return folder / "pairs.parquet", files, folder / "images.h5", folder / "texts.h5"


def test_items_without_features_are_marked(made, tmp_path):
    pairs, embeddings, raw = made
    values = {"images": np.ones((45, 2), dtype=np.float32), "texts": np.ones((45, 2), dtype=np.float32)}
    values["texts"][::2] = 0
    paths = write_gallery_files(tmp_path, pairs, {"cca": (embeddings, ATTRIBUTES)}, values)
    gallery = read_gallery(made_study(tmp_path / "study"), *paths, raw)

    queries = [retrieval.query for found in gallery.tasks.values() for retrieval in found]
    shown = [*queries, *(result.item for result in results_of(gallery))]
    without = set(pairs["id"][::2])
    assert {item.featureless for item in shown if item.source is None} == {True, False}
    assert all(item.featureless == (item.source is None and item.id in without) for item in shown)
    html = render(gallery)
    assert html.count('class="featureless"') == sum(item.featureless for item in shown)
    assert "get the same ranking" in html and "‡" not in html

    study = made_study(tmp_path / "marked")
    runs = [run | {"sees_pairs": run["method"] == SPEC["method"]} for run in study.facts["runs"]]
    html = render(read_gallery(replace(study, facts=study.facts | {"runs": runs}), *paths, raw))
    assert "CCA ‡ on" in html and "‡ is not cross-modal retrieval" in html


def test_page_tells_how_many_classes_gave_a_query(made, gallery):
    pairs, embeddings, raw = made
    two = gallery_of(SPEC | {"classes": 2}, pairs, embeddings, raw)
    assert "one in each of 2 of the 3 classes" in " ".join(Page(render(two)).text.split())
    assert "no features" not in render(gallery)


def test_captions_are_text_and_never_markup(made):
    pairs, embeddings, raw = made
    row = list(pairs["text"]).index(HOSTILE)
    # Every image points at the hostile caption.
    texts = -np.tile(embeddings["0/test/images"].sum(axis=0), (len(pairs), 1)).astype(np.float32)
    texts[row] *= -1
    images = np.tile(texts[row], (len(pairs), 1))
    html = render(gallery_of(SPEC, pairs, embeddings | {"0/test/images": images, "0/test/texts": texts}, raw))
    page = Page(html)
    assert "script" not in page.tags
    assert HOSTILE in page.text


def test_thumbnails_are_small_and_white_behind_transparency(made):
    pairs, _, raw = made
    first = pairs.iloc[[0]].copy()
    first.attrs = pairs.attrs
    gallery = gallery_of(SPEC | {"tasks": ["img2txt"]}, first, made_embeddings(first["id"]), raw)
    (retrieval,) = gallery.tasks[TASK_TITLES["img2txt"]]
    image = Image.open(io.BytesIO(base64.b64decode(retrieval.query.source.partition(",")[2])))
    assert image.size == (THUMBNAIL, 24)  # 200 x 30
    assert np.asarray(image).min() == 255


def test_embeddings_of_other_data_are_refused(made):
    pairs, _, raw = made
    with pytest.raises(UserError, match="'stranger' is not in the data set"):
        gallery_of(SPEC, pairs, made_embeddings(["stranger"]), raw)


def test_without_classes_a_result_is_relevant_that_belongs_to_the_query(made):
    pairs, embeddings, raw = made
    pairs = pairs.assign(labels=[[] for _ in range(len(pairs))], group=[f"g{k // 2}" for k in range(len(pairs))])
    pairs.attrs["classes"] = []
    gallery = gallery_of(SPEC, pairs, embeddings, raw)
    group_of = dict(zip(pairs["id"], pairs["group"], strict=True))
    for found in gallery.tasks.values():
        for retrieval in found:
            for result in retrieval.rankings[0].results:
                assert result.relevant == (group_of[result.item.id] == group_of[retrieval.query.id])
    assert gallery.drawn == min(SPEC["classes"], pairs["group"].nunique())
    assert "share a group with the query" in " ".join(render(gallery).split()).replace("shares a", "share a")


def test_items_without_a_text_are_named_by_their_id(made):
    pairs, embeddings, raw = made
    gallery = gallery_of(SPEC, pairs.assign(text=None), embeddings, raw)
    result = gallery.tasks[TASK_TITLES["img2txt"]][0].rankings[0].results[0].item
    assert result.text == f"{result.id} (this copy has no texts)"


def test_a_picture_that_cannot_be_read_is_named_by_its_id(made, tmp_path):
    pairs, embeddings, raw = made
    shutil.copytree(raw, tmp_path / "raw")
    for image in pairs["image"]:
        (tmp_path / "raw" / image).write_bytes(b"")
    gallery = gallery_of(SPEC, pairs, embeddings, tmp_path / "raw")
    query = gallery.tasks[TASK_TITLES["img2txt"]][0].query
    assert (query.source, query.text) == (None, f"{query.id} (its picture cannot be read)")


def both(embeddings):
    """Two methods, the second of which finds the paired side first."""
    return {
        "CCA": (embeddings, ATTRIBUTES),
        "ACMR_$1": (embeddings | {"0/test/texts": embeddings["0/test/images"]}, ATTRIBUTES),
    }


def test_each_method_ranks_the_same_queries(made, gallery):
    pairs, embeddings, raw = made
    shown = make_gallery(SPEC, "Made pictures", both(embeddings), pairs, ALL_SEEN, raw)
    assert queries_of(shown) == queries_of(gallery)
    for task, found in shown.tasks.items():
        for retrieval, alone in zip(found, gallery.tasks[task], strict=True):
            first, second = retrieval.rankings
            assert (first.method, second.method) == ("CCA", "ACMR_$1")
            assert first.results == alone.rankings[0].results
            assert second.results[0].item.id == retrieval.query.id


def test_lists_of_several_methods_stand_under_their_names_with_their_hits(made):
    pairs, embeddings, raw = made
    shown = make_gallery(SPEC | {"tasks": ["img2txt"]}, "Made pictures", both(embeddings), pairs, ALL_SEEN, raw)
    page = Page(render(shown))
    told = " ".join(page.text.split())
    assert "CCA and ACMR_$1 on Made pictures" in told
    (found,) = shown.tasks.values()
    heads = [f"{r.method}, best first: {r.hits} of 4 relevant" for retrieval in found for r in retrieval.rankings]
    places = [told.index(head, 0) for head in heads[:2]]
    assert places == sorted(places) and all(head in told for head in heads)
    assert [kind == "hit" for kind, _ in page.frames] == [result.relevant for result in results_of(shown)]


def test_queries_are_of_the_classes_that_are_named_in_their_order(made):
    pairs, embeddings, raw = made
    shown = gallery_of(SPEC | {"classes": ["tree", "bird & co"]}, pairs, embeddings, raw)
    for found in shown.tasks.values():
        assert [retrieval.query.labels for retrieval in found] == [("tree",), ("bird & co",)]
    assert "one in each of the classes tree, bird & co, and not chosen" in " ".join(Page(render(shown)).text.split())
    with pytest.raises(UserError, match='no test item is of the class "train"; there are bird & co, fish, tree'):
        gallery_of(SPEC | {"classes": ["train"]}, pairs, embeddings, raw)


def test_methods_of_other_test_items_are_refused(made):
    pairs, embeddings, raw = made
    runs = both(embeddings) | {"Other": (made_embeddings(pairs["id"][::-1]), ATTRIBUTES)}
    with pytest.raises(UserError, match="test items of Other are not those of CCA"):
        make_gallery(SPEC, "Made pictures", runs, pairs, ALL_SEEN, raw)


SEVERAL = {key: value for key, value in SPEC.items() if key != "method"} | {"methods": ["cca", "acmr"]}


def study_of_several(root, **paper):
    config = CONFIG | {"gallery": SEVERAL | {"item": "Figure 5"}} | ({"paper": paper} if paper else {})
    return made_study(root, config=config)


def test_a_method_that_is_not_applicable_is_told_beside_the_others(made, tmp_path):
    pairs, embeddings, raw = made
    without = ({}, ATTRIBUTES | {"not_applicable": "acmr: <needs> one class"})
    study = study_of_several(tmp_path / "study")
    files = write_gallery_files(tmp_path / "one", pairs, {"cca": (embeddings, ATTRIBUTES), "acmr": without})
    shown = read_gallery(study, *files, raw)
    assert shown.methods == ("CCA",) and shown.tasks
    assert "None of ACMR_$1, which is not applicable to Made pictures: <needs> one class" in Page(render(shown)).text
    files = write_gallery_files(tmp_path / "none", pairs, {"cca": without, "acmr": without})
    page = Page(render(read_gallery(study, *files, raw)))
    assert not page.frames and page.text.count("not applicable to Made pictures") == 2


def test_embeddings_in_another_order_than_the_methods_are_refused(made, tmp_path):
    pairs, embeddings, raw = made
    files = write_gallery_files(tmp_path, pairs, dict.fromkeys(("acmr", "cca"), (embeddings, ATTRIBUTES)))
    with pytest.raises(UserError, match="the gallery shows cca, acmr, and the embeddings of each"):
        read_gallery(study_of_several(tmp_path / "study"), *files, raw)


def test_a_papers_gallery_has_its_name_and_a_rehearsal_says_that_it_is_one(made, tmp_path):
    pairs, embeddings, raw = made
    files = write_gallery_files(tmp_path, pairs, dict.fromkeys(("cca", "acmr"), (embeddings, ATTRIBUTES)))
    study = study_of_several(tmp_path / "rehearsed", rehearsal="made")
    text = Page(render(read_gallery(study, *files, raw))).text
    assert "Figure 5: Example retrievals" in text
    assert "Rehearsal on Made pictures: no result of the paper's data." in text
    text = Page(render(read_gallery(study_of_several(tmp_path / "study"), *files, raw))).text
    assert "Figure 5" in text and "ehearsal" not in text
