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
    return make_gallery(SPEC, "Made pictures", "CCA", pairs, embeddings, ATTRIBUTES, ALL_SEEN, raw)


def nearest(query, gallery):
    """Gallery rows by descending cosine."""
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, gallery)]
    return np.argsort(-(unit[1] @ unit[0]))


def test_results_are_the_nearest_texts_of_each_query_image(made, gallery):
    pairs, embeddings, _ = made
    for retrieval in gallery.tasks[TASK_TITLES["img2txt"]]:
        row = list(pairs["id"]).index(retrieval.query.id)
        expected = nearest(embeddings["0/test/images"][row], embeddings["0/test/texts"])[:4]
        assert [result.item.id for result in retrieval.results] == list(pairs["id"].iloc[expected])


def test_all_modal_results_leave_out_the_query_but_not_its_pair(made):
    pairs, embeddings, raw = made
    same = embeddings | {"0/test/texts": embeddings["0/test/images"]}
    gallery = make_gallery(SPEC, "Made pictures", "CCA", pairs, same, ATTRIBUTES, ALL_SEEN, raw)
    for retrieval in gallery.tasks[TASK_TITLES["img2all"]]:
        first = retrieval.results[0].item
        assert (first.id, first.source) == (retrieval.query.id, None)  # its text
        assert not any(r.item.id == retrieval.query.id and r.item.source for r in retrieval.results)


def test_frames_tell_whether_a_result_shares_a_label(made, gallery):
    labels = dict(zip(made[0]["id"], made[0]["labels"], strict=True))
    marks = [
        (result.relevant, bool(set(labels[retrieval.query.id]) & set(labels[result.item.id])))
        for found in gallery.tasks.values()
        for retrieval in found
        for result in retrieval.results
    ]
    assert all(shown == true for shown, true in marks)
    assert {shown for shown, _ in marks} == {True, False}


def test_items_with_several_labels_need_share_only_one(tmp_path):
    labels = [["bird & co", "fish"] if i % 2 else ["fish", "tree"] for i in range(45)]
    pairs = write_dataset(tmp_path, labels)
    gallery = make_gallery(
        SPEC, "Made pictures", "CCA", pairs, made_embeddings(pairs["id"]), ATTRIBUTES, ALL_SEEN, tmp_path / "data/raw"
    )
    assert all(result.relevant for found in gallery.tasks.values() for r in found for result in r.results)


def test_one_query_a_class_the_same_every_time(made, gallery):
    pairs, embeddings, raw = made
    again = make_gallery(SPEC, "Made pictures", "CCA", pairs, embeddings, ATTRIBUTES, ALL_SEEN, raw)
    assert again == gallery
    queries = [retrieval.query for retrieval in gallery.tasks[TASK_TITLES["img2txt"]]]
    assert sorted(query.labels[0] for query in queries) == ["bird & co", "fish", "tree"]


def test_queries_do_not_depend_on_how_well_they_do(made, gallery):
    pairs, _, raw = made
    other = make_gallery(
        SPEC, "Made pictures", "CCA", pairs, made_embeddings(pairs["id"], seed=1), ATTRIBUTES, ALL_SEEN, raw
    )
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
    results = [result for found in gallery.tasks.values() for r in found for result in r.results]
    frames = Page(render(gallery)).frames
    assert len(frames) == len(results)
    for (kind, text), result in zip(frames, results, strict=True):
        assert kind == ("hit" if result.relevant else "miss")
        assert ("✓" in text.split("Query")[0]) == result.relevant
        assert result.item.labels[0] in text


def test_items_without_features_are_marked(made, tmp_path):
    pairs, embeddings, raw = made
    store.write_table(tmp_path / "pairs.parquet", pairs, pairs.attrs)
    store.write_arrays(tmp_path / "embeddings.h5", embeddings, ATTRIBUTES)
    values = {"images": np.ones((45, 2), dtype=np.float32), "texts": np.ones((45, 2), dtype=np.float32)}
    values["texts"][::2] = 0
    for side, rows in values.items():
        # Views may hold their items in another order, and more than the test part.
        store.write_view(tmp_path / f"{side}.h5", [*pairs["id"][::-1], "other"], np.vstack([rows[::-1], rows[:1]]), {})
    paths = (tmp_path / name for name in ("pairs.parquet", "embeddings.h5", "images.h5", "texts.h5"))
    gallery = read_gallery(made_study(tmp_path / "study"), *paths, raw)

    shown = [
        item for found in gallery.tasks.values() for r in found for item in (r.query, *(x.item for x in r.results))
    ]
    without = set(pairs["id"][::2])
    assert {item.featureless for item in shown if item.source is None} == {True, False}
    assert all(item.featureless == (item.source is None and item.id in without) for item in shown)
    html = render(gallery)
    assert html.count('class="featureless"') == sum(item.featureless for item in shown)
    assert "get the same ranking" in html and "‡" not in html

    study = made_study(tmp_path / "marked")
    runs = [run | {"sees_pairs": run["method"] == SPEC["method"]} for run in study.facts["runs"]]
    paths = (tmp_path / name for name in ("pairs.parquet", "embeddings.h5", "images.h5", "texts.h5"))
    html = render(read_gallery(replace(study, facts=study.facts | {"runs": runs}), *paths, raw))
    assert "CCA ‡ on" in html and "‡ is not cross-modal retrieval" in html


def test_page_tells_how_many_classes_gave_a_query(made, gallery):
    pairs, embeddings, raw = made
    two = make_gallery(SPEC | {"classes": 2}, "Made pictures", "CCA", pairs, embeddings, ATTRIBUTES, ALL_SEEN, raw)
    assert "one in each of 2 of the 3 classes" in " ".join(Page(render(two)).text.split())
    assert "no features" not in render(gallery)


def test_captions_are_text_and_never_markup(made):
    pairs, embeddings, raw = made
    row = list(pairs["text"]).index(HOSTILE)
    # Every image points at the hostile caption.
    texts = -np.tile(embeddings["0/test/images"].sum(axis=0), (len(pairs), 1)).astype(np.float32)
    texts[row] *= -1
    images = np.tile(texts[row], (len(pairs), 1))
    html = render(
        make_gallery(
            SPEC,
            "Made pictures",
            "CCA",
            pairs,
            embeddings | {"0/test/images": images, "0/test/texts": texts},
            ATTRIBUTES,
            ALL_SEEN,
            raw,
        )
    )
    page = Page(html)
    assert "script" not in page.tags
    assert HOSTILE in page.text


def test_thumbnails_are_small_and_white_behind_transparency(made):
    pairs, _, raw = made
    first = pairs.iloc[[0]].copy()
    first.attrs = pairs.attrs
    gallery = make_gallery(
        SPEC | {"tasks": ["img2txt"]},
        "Made pictures",
        "CCA",
        first,
        made_embeddings(first["id"]),
        ATTRIBUTES,
        ALL_SEEN,
        raw,
    )
    (retrieval,) = gallery.tasks[TASK_TITLES["img2txt"]]
    image = Image.open(io.BytesIO(base64.b64decode(retrieval.query.source.partition(",")[2])))
    assert image.size == (THUMBNAIL, 24)  # 200 x 30
    assert np.asarray(image).min() == 255


def test_embeddings_of_other_data_are_refused(made):
    pairs, _, raw = made
    with pytest.raises(UserError, match="'stranger' is not in the data set"):
        make_gallery(SPEC, "Made pictures", "CCA", pairs, made_embeddings(["stranger"]), ATTRIBUTES, ALL_SEEN, raw)


def test_without_classes_a_result_is_relevant_that_belongs_to_the_query(made):
    pairs, embeddings, raw = made
    pairs = pairs.assign(labels=[[] for _ in range(len(pairs))], group=[f"g{k // 2}" for k in range(len(pairs))])
    pairs.attrs["classes"] = []
    gallery = make_gallery(SPEC, "Made pictures", "CCA", pairs, embeddings, ATTRIBUTES, ALL_SEEN, raw)
    group_of = dict(zip(pairs["id"], pairs["group"], strict=True))
    for found in gallery.tasks.values():
        for retrieval in found:
            for result in retrieval.results:
                assert result.relevant == (group_of[result.item.id] == group_of[retrieval.query.id])
    assert gallery.drawn == min(SPEC["classes"], pairs["group"].nunique())
    assert "share a group with the query" in " ".join(render(gallery).split()).replace("shares a", "share a")


def test_items_without_a_text_are_named_by_their_id(made):
    pairs, embeddings, raw = made
    gallery = make_gallery(SPEC, "Made pictures", "CCA", pairs.assign(text=None), embeddings, ATTRIBUTES, ALL_SEEN, raw)
    result = gallery.tasks[TASK_TITLES["img2txt"]][0].results[0].item
    assert result.text == f"{result.id} (this copy has no texts)"


def test_a_picture_that_cannot_be_read_is_named_by_its_id(made, tmp_path):
    pairs, embeddings, raw = made
    shutil.copytree(raw, tmp_path / "raw")
    for image in pairs["image"]:
        (tmp_path / "raw" / image).write_bytes(b"")
    gallery = make_gallery(SPEC, "Made pictures", "CCA", pairs, embeddings, ATTRIBUTES, ALL_SEEN, tmp_path / "raw")
    query = gallery.tasks[TASK_TITLES["img2txt"]][0].query
    assert (query.source, query.text) == (None, f"{query.id} (its picture cannot be read)")
