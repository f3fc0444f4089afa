"""Every method without torch on Wikipedia's own features: as good as independent prototypes of the methods were."""

from pathlib import Path

import numpy as np
import pytest

from cmr.assets import mirror_folders
from cmr.catalogue import Catalogue
from cmr.construct import METHODS, build
from cmr.datasets import wikipedia
from cmr.methods.base import NotApplicableError, Pairs, Unlabelled, spaces
from cmr.metrics import mean_average_precision

CATALOGUE = Catalogue.read(Path(__file__).parents[2])

# LDA's ten topics sum to one, so that texts have nine directions.
OPTIONS = {name: {"n_components": 9} for name in ("cca", "cfa", "pls")} | {"cca_sm": {"n_components": 9}}

# mAP over all of image and of text queries. Prototypes written apart from this code, at the same settings, scored so on
# the same split, or, where a comment tells of it, would have with the same definition.
EXPECTED = {
    "cca": (0.242, 0.197),
    "kcca_gaussian": (0.255, 0.208),
    "kcca_poly": (0.263, 0.214),
    "cfa": (0.246, 0.195),
    "pls": (0.244, 0.195),
    "blm": (0.230, 0.177),
    "sm": (0.300, 0.230),
    "cca_sm": (0.306, 0.226),
    "tv_cca": (0.280, 0.222),
    "tv_kcca": (0.305, 0.247),
    "gmlda": (0.269, 0.219),
    "gmmfa": (0.266, 0.212),
    "lcfs": (0.273, 0.217),
    "lgcfl": (0.266, 0.209),  # .243/.210 with the intercept in the embeddings, which here stays out
    "jfssl": (0.278, 0.221),
    "jrl": (0.306, 0.229),
    "jrl_transductive": (0.306, 0.229),
    "mdcr": (0.270, 0.218),
    "csaec": (0.281, 0.230),
    "csaec_selfexpr": (0.275, 0.215),
    "csaec_stiefel": (0.275, 0.218),
    "csaec_unlabelled": (0.259, 0.205),
    "scm_seq_16": (0.223, 0.178),
    "scm_seq": (0.247, 0.197),
    "scm_seq_64": (0.256, 0.198),
    "seph": (0.265, 0.203),  # mean of five seeds; one draw of the prototype scored .247/.201
    "seph_32": (0.280, 0.217),
    "seph_64": (0.269, 0.221),
}
TOLERANCE = dict.fromkeys(("seph", "seph_32", "seph_64"), 0.015)  # of the draw of codes and centres


@pytest.fixture(scope="module")
def parts():
    """Official train and test parts, SIFT words and LDA topics."""
    folder = next((m / "wikipedia_dataset" for m in mirror_folders([]) if (m / "wikipedia_dataset").is_dir()), None)
    if folder is None or not (folder / wikipedia.FEATURES).is_file():
        pytest.skip("no mirror of the environment variable CMR_MIRRORS holds wikipedia_dataset/raw_features.mat")
    folders = {"wikipedia": folder}
    pairs = list(wikipedia.read(folders))
    names = sorted({name for pair in pairs for name in pair.labels})
    labels = {pair.id: [name in pair.labels for name in names] for pair in pairs}
    views = [dict(zip(("train", "test"), wikipedia.features(folders, array), strict=True)) for array in ("I", "T")]
    made = {}
    for part in ("train", "test"):
        (ids, images), (_, texts) = (view[part] for view in views)
        made[part] = Pairs(images, texts, np.array([labels[item] for item in ids]))
    return made


@pytest.fixture(scope="module")
def scores(parts):
    """Name of a method -> mAP of image and of text queries."""
    known = {}

    def score(name):
        if name not in known:
            settings, test = CATALOGUE.methods[name], parts["test"]
            options = {key: schema["default"] for key, schema in settings["hyperparameters"].items()}
            method = build(settings["implementation"], options | OPTIONS.get(name, {}), METHODS)
            more = {"unlabelled": Unlabelled(test.images, test.texts)} if getattr(method, "transductive", False) else {}
            found = spaces(method.fit(parts["train"], seed=0, **more))

            def mean(task):
                space = found.get(task) or found[""]
                sides = space.embed_images(test.images), space.embed_texts(test.texts)
                queries, gallery = sides if task == "img2txt" else sides[::-1]
                return mean_average_precision(queries, gallery, test.labels, method.similarity)

            known[name] = mean("img2txt"), mean("txt2img")
        return known[name]

    return score


@pytest.mark.parametrize("name", EXPECTED)
def test_a_method_scores_as_an_independent_prototype_did(scores, name):
    assert scores(name) == pytest.approx(EXPECTED[name], abs=TOLERANCE.get(name, 0.006))


def test_every_method_without_torch_is_compared():
    others = {"random", "jrl_as_released", "scm_orth", "scm_orth_16", "scm_orth_64"}
    # Other candidates, or another choice among them.
    others |= {"csaec_sensitivity", "cca_selected_on_test", "sm_selected_on_test"}
    named = {name for name, settings in CATALOGUE.methods.items() if not settings.get("uses_torch")}
    assert named - EXPECTED.keys() == others


@pytest.mark.parametrize("name", EXPECTED)
def test_every_method_beats_a_random_ranking(scores, name):
    assert min(scores(name)) > 0.118 + 0.03


# Codes of few bits lose what labels gain, so that they are not among these.
LEARN_FROM_CLASSES = [
    name
    for name in EXPECTED
    if "classes" in CATALOGUE.methods[name]["learns_from"] and CATALOGUE.methods[name]["family"] != "hashing"
]


@pytest.mark.parametrize("name", LEARN_FROM_CLASSES)
def test_what_learns_from_classes_beats_cca_in_both_directions(scores, name):
    assert np.all(np.array(scores(name)) > scores("cca"))


def test_orthogonal_codes_stop_at_the_rank_of_the_topics(scores):
    with pytest.raises(NotApplicableError, match="only 9 pairs of orthogonal directions"):
        scores("scm_orth")
