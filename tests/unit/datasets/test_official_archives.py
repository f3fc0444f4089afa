"""Every data set of the catalogue, from its official archives to checked pictures, views and splits.

The archives are small, but have the official layout and names; the configuration is the catalogue's own. So what it
says of addresses, folders, readers, options and views is proved to fit what is handed out.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from cmr import assets
from cmr.assets import download as download_module
from cmr.catalogue import Catalogue
from cmr.construct import READERS, call
from cmr.datasets.images import check_images
from cmr.datasets.pairs import classes_of, pair_table, separate_bad_items
from cmr.datasets.pascal_voc2007 import CLASSES as VOC_CLASSES
from cmr.datasets.ready import collect_rows
from cmr.datasets.splits import make_split
from cmr.errors import UserError
from cmr.files import read_json
from cmr.progress import SILENT
from tests import official_archives as official
from tests.official_archives import Files, below, lay_out, pack, picture
from tests.unit import test_assets

CATALOGUE = Catalogue.read(Path(__file__).parents[3])
LARGE = 3 * download_module.BLOCK_BYTES


@dataclass(frozen=True)
class Archive:
    """An asset in the form in which it is handed out.

    Attributes
    ----------
    name : of the file; one that ends in .mat is no archive.
    files : its members, or the one file.
    home : the folder below a mirror in which a person unpacks it. None: nobody does.
    by_hand : there is no address; the file lies in a mirror, or, where `name` is empty, its files.
    """

    name: str
    files: Files
    home: str | None = None
    by_hand: bool = False

    @cached_property
    def content(self) -> bytes:
        return self.files[self.name] if self.name.endswith(".mat") else pack(self.name, self.files)


@dataclass(frozen=True)
class Case:
    """A data set whose archives are made up, and what must come out.

    Attributes
    ----------
    pairs, dropped, unreadable : numbers of items that can be used, are left out, and have pictures that cannot be read.
    example : an item's id, its image below data/raw, text and labels.
    widths : numbers of columns of the ready views.
    """

    dataset: str
    archives: dict[str, Archive]
    pairs: int
    example: tuple[str, str | None, str | None, list[str]]
    dropped: int = 0
    unreadable: int = 0
    widths: dict[str, int] = field(default_factory=dict)


# The data sets


def wikipedia() -> Case:
    def items(part: str, a_class: int) -> list[tuple[str, str, int]]:
        return [(f"{part}{k:02d}-{i}.1", f"{part}{k}{i}", k) for k in range(1, 11) for i in range(a_class)]

    train, test = items("a", 6), items("b", 2)
    categories = [category for _, _, category in train + test]
    tfidf = {"wikipedia_extra/raw_features_with_tfidf1000.mat": official.wikipedia_tfidf1000(60, 20)}
    roph = {"wikipedia_extra/roph_wiki.mat": official.wikipedia_roph(categories)}
    return Case(
        "wikipedia",
        {
            "wikipedia": Archive(
                "wikipedia_dataset.zip", below("wikipedia_dataset", official.wikipedia(train, test)), home=""
            ),
            "wikipedia_tfidf1000": Archive("", tfidf, by_hand=True),
            "wikipedia_roph": Archive("", roph, by_hand=True),
        },
        pairs=80,
        example=("b09-1.1", "wikipedia/images/sport/b91.jpg", "About b09-1.1.", ["sport"]),
        widths={"sift128": 128, "roph_image": 128, "lda10": 10, "tfidf1000": 1000, "roph_text": 100},
    )


def pascal_sentence(copy: bool = False) -> Case:
    entries = {
        f"2008_{k:03d}{i:03d}.jpg": (category, [f"A {category} numbered {i}.", "Another &amp; more."])
        for k, category in enumerate(VOC_CLASSES)
        for i in range(10)
    }
    pictures = {f"{category}/{image}": picture(k) for k, (image, (category, _)) in enumerate(entries.items())}
    if copy:
        entries = {
            image: (category, [caption.replace("&amp;", "&") for caption in captions])
            for image, (category, captions) in entries.items()
        }
        pictures = {f"images/{PurePosixPath(path).name}": content for path, content in pictures.items()}
        files = below("pascal_sentence", {"pascal_sentences.json": official.pascal_sentence_json(entries)} | pictures)
    else:
        page = {"index.html": official.pascal_sentence_page(entries)}
        files = below("vision.cs.uiuc.edu/pascal-sentences", page | pictures)
    folder = "images" if copy else "cat"
    return Case(
        "pascal_sentence",
        {"pascal_sentence": Archive("", files, by_hand=True)},
        pairs=200,
        example=(
            "2008_007004",
            f"pascal_sentence/{folder}/2008_007004.jpg",
            "A cat numbered 4.\nAnother & more.",
            ["cat"],
        ),
    )


def pascal_voc2007() -> Case:
    def annotations(first: int, count: int) -> dict[str, str]:
        return {
            f"{number:06d}": official.voc_annotation((VOC_CLASSES[number % 20], 0), ("person", number % 2))
            for number in range(first, first + count)
        }

    parts = {"trainval": annotations(1, 60), "test": annotations(61, 40)}

    def tags(part: str) -> bytes:
        files = {f"{item}.jpg": [1 + int(item), 399, 1 + int(item)] for item in parts[part]}
        halves = dict(list(files.items())[::2]), dict(list(files.items())[1::2])
        return official.pascal_voc2007_tags(*halves, gist=512, color=64, bow=200)

    eisr = official.eisr_features({"train": list(parts["trainval"]), "test": list(parts["test"])}, 798)
    commit = "235058579ec9638eec624cf65c4058efe0c5fd6d"
    return Case(
        "pascal_voc2007",
        {
            "pascal_voc2007_trainval": Archive(
                "VOCtrainval_06-Nov-2007.tar",
                below("VOCdevkit/VOC2007", official.pascal_voc2007("trainval", parts["trainval"])),
                home="",
            ),
            "pascal_voc2007_test": Archive(
                "VOCtest_06-Nov-2007.tar",
                below("VOCdevkit/VOC2007", official.pascal_voc2007("test", parts["test"])),
                home="",
            ),
            "pascal_voc2007_tags": Archive(
                "",
                {"pascal_voc2007_tags/train.mat": tags("trainval"), "pascal_voc2007_tags/test.mat": tags("test")},
                by_hand=True,
            ),
            "eisr_features": Archive(
                f"{commit}.tar.gz",
                below(f"icme-{commit}", {"README.md": b"# EISR\n"} | below("experiments/data", eisr)),
            ),
        },
        pairs=100,
        example=("000078", "pascal_voc2007_test/JPEGImages/000078.jpg", None, ["person", "train"]),
        widths={
            "hwang_gist": 512,
            "hwang_color": 64,
            "hwang_bow": 200,
            "tagcount399": 399,
            "absrank399": 399,
            "relrank399": 399,
        }
        | {"tagrank798": 798, "eisr798": 798},
    )


def mirflickr() -> Case:
    """40 photographs with tags and labels, one without tags, one without labels; of the others nothing is known."""
    tags = {number: [f"tag{number}", "são"] for number in range(1, 42)} | {25_000: []}
    images_of = {
        label: f"{1 + k}\r\n25000\r\n" + "".join(f"{i}\r\n" for i in range(39, 41) if label == "sky")
        for k, label in enumerate(official.MIRFLICKR_LABELS)
    }
    annotations = official.mirflickr25k_annotations(images_of)
    return Case(
        "mirflickr",
        {
            "mirflickr25k": Archive("mirflickr25k.zip", below("mirflickr", official.mirflickr25k(tags)), home=""),
            "mirflickr25k_annotations": Archive(
                "mirflickr25k_annotations_v080.zip", annotations, home="mirflickr25k_annotations_v080"
            ),
        },
        pairs=40,
        dropped=24_960,
        example=("im38", "mirflickr25k/im38.jpg", "tag38 são", ["tree_r1"]),
    )


def mirflickr_20015(named: bool = True) -> Case:
    labels, tags = np.zeros((40, 24), np.uint8), np.zeros((40, 1386), np.uint8)
    labels[np.arange(40), np.arange(40) % 24] = 1
    tags[np.arange(40), np.arange(40)] = 1
    names = [f"im{2 * row + 1}.jpg" for row in range(40)]
    arrays = official.mirflickr25k_hashing(labels, tags, official.noise(40, 4096), names if named else ())
    pictures = official.mirflickr25k({2 * row + 1: ["a"] for row in range(40)})
    return Case(
        "mirflickr_20015",
        {
            "mirflickr25k": Archive("mirflickr25k.zip", below("mirflickr", pictures), home=""),
            "mirflickr25k_hashing": Archive("", below("mirflickr25k", arrays), by_hand=True),
        },
        pairs=40,
        example=("row00003", "mirflickr25k/im5.jpg" if named else None, None, ["bird"]),
        widths={"vgg19": 4096, "tags1386": 1386},
    )


def mscoco() -> Case:
    """80 categories whose ids have gaps; two images without objects, and the one that is damaged in the original."""
    categories = [{"supercategory": "thing", "id": k + k // 8, "name": f"thing {k}"} for k in range(1, 81)]
    numbers = {"train2014": [*range(1, 60), 167_126, 581_929], "val2014": [*range(101, 121), 581_930]}
    contents, pictures = {}, {}
    for images, ids in numbers.items():
        instances = [
            official.coco_instance(10 * i + j, i, categories[(i + 40 * j) % 80]["id"], crowd=j)
            for i in ids[:-1]
            for j in range(2)
        ]
        captions = [official.coco_caption(10 * i + j, i, f"Scene {i}, told {j}.\n") for i in ids for j in range(5)]
        contents |= official.coco_annotations(images, ids, instances, captions, categories)
        pictures[images] = {official.coco_image(images, i)["file_name"]: picture(i % 60_000) for i in ids}
    damaged = "COCO_train2014_000000167126.jpg"
    pictures["train2014"][damaged] = pictures["train2014"][damaged][:-200]
    annotations = below("annotations", official.mscoco_annotations(contents))
    return Case(
        "mscoco",
        {
            "mscoco_annotations": Archive("annotations_trainval2014.zip", annotations, home="mscoco"),
            "mscoco_train2014": Archive("train2014.zip", below("train2014", pictures["train2014"]), home="mscoco"),
            "mscoco_val2014": Archive("val2014.zip", below("val2014", pictures["val2014"]), home="mscoco"),
        },
        pairs=80,
        unreadable=1,
        example=(
            "COCO_val2014_000000000120",
            "mscoco_val2014/COCO_val2014_000000000120.jpg",
            "\n".join(f"Scene 120, told {j}." for j in range(5)),
            ["thing 1", "thing 41"],
        ),
    )


def flickr8k() -> Case:
    """A list each, an image in no list, and the one that is missing in the original."""
    images = [f"{1000 + number}_{number:010x}.jpg" for number in range(10)]
    missing = "2258277193_586949ec62.jpg"
    tokens = [f"{image}#{n}\tImage {image} told {n} .\n" for image in [*images, missing] for n in range(5)]
    tokens[-1] = tokens[-1].replace(f"{missing}#", f"{missing}.1#", 1)
    text = official.flickr8k_text("".join(tokens), train=images[:5], dev=images[5:7], test=images[7:9])
    pictures = official.flickr8k_images({image: picture(k) for k, image in enumerate(images)})
    return Case(
        "flickr8k",
        {
            "flickr8k_text": Archive("Flickr8k_text.zip", text, home="flickr8k"),
            "flickr8k_images": Archive("Flickr8k_Dataset.zip", pictures, home="flickr8k"),
        },
        pairs=11,
        unreadable=1,
        example=(
            images[0].removesuffix(".jpg"),
            f"flickr8k_images/{images[0]}",
            "\n".join(f"Image {images[0]} told {n} ." for n in range(5)),
            [],
        ),
    )


NUS_TEN = CATALOGUE.dataset("nus_wide_10k")["options"]["classes"]


@cache
def nus_wide_archives(nested: bool) -> dict[str, Archive]:
    """Ten items of each of ten concepts, one of each other, and four with several concepts, none, or no listed tag.

    Archives come with and without a folder of their own; a person unpacks the latter into a folder.
    """
    concepts = [concept for concept in NUS_TEN for _ in range(10)]
    concepts += [concept for concept in official.NUS_CONCEPTS if concept not in NUS_TEN]
    concepts += ["sky water", "sky lake", "", "whales sky"]
    tags = [f"t{k}  no{k}" for k in range(len(concepts) - 1)] + ["unlisted 猫"]
    parts = ["test" if k % 5 < 2 else "train" for k in range(len(concepts))]
    files = official.nus_wide(
        [
            ("actor", f"{k:04d}", str(7000 + k), part, concept, tag)
            for k, (part, concept, tag) in enumerate(zip(parts, concepts, tags, strict=True))
        ]
    )
    folders = {
        "nus_wide_groundtruth": ("NUS-WIDE.zip", "Groundtruth"),
        "nus_wide_image_list": ("ImageList.zip", "ImageList"),
        "nus_wide_tags": ("NUS_WID_Tags.zip", "NUS_WID_Tags"),
        "nus_wide_features": ("NUS_WID_Low_Level_Features.rar", "Low_Level_Features"),
    }
    archives = {
        asset: Archive(name, below(folder, files[asset]), home="nus_wide")
        if nested
        else Archive(name, files[asset], home=f"nus_wide/{folder}")
        for asset, (name, folder) in folders.items()
    }
    if nested:  # what a Mac adds to archives
        archives["nus_wide_groundtruth"].files["__MACOSX/Groundtruth/AllLabels/._Labels_sky.txt"] = b"\0"
    pictures = Archive("Flickr.tar.gz", below("Flickr", files["nus_wide_images"]), home="nus_wide", by_hand=True)
    return archives | {"nus_wide_images": pictures}


def nus_wide(dataset: str, nested: bool) -> Case:
    """Of 175 items the third but last has no concept and the last no listed tag.

    TC21 are sky, water and lake with the others of the ten, whales, and of those with one image the first by name.
    """
    widths = {"nus_ch64": 64, "nus_corr144": 144, "nus_edh73": 73, "nus_wt128": 128, "nus_cm225": 225}
    widths |= {"nus_low_level": 1134, "nus_bow500": 500, "nus_tags1k": 1000}
    return Case(
        dataset,
        nus_wide_archives(nested),
        pairs={"nus_wide": 173, "nus_wide_10k": 100, "nus_wide_tc21": 113}[dataset],
        example=("000001_7000", "nus_wide_images/actor/0000_7000.jpg", "t0 no0", ["animal"]),
        widths={view: widths[view] for views in CATALOGUE.dataset(dataset)["views"].values() for view in views},
    )


def xmedia() -> Case:
    variables = {}
    for part, a_class in (("tr", 8), ("te", 2)):
        categories = np.repeat(np.arange(1, 21, dtype=np.uint8), a_class)[:, None]
        variables |= {f"{part}ImgCat": categories, f"{part}TxtCat": categories[::-1]}
        variables[f"I_{part}_CNN"] = official.noise(20 * a_class, 4096).astype(np.float32)
        variables[f"T_{part}_BOW"] = np.tile(categories[::-1], 3000)
    file = {"XMediaFeatures.mat": official.mat(variables)}
    return Case(
        "xmedia",
        {"xmedia_features": Archive("XMediaFeatures.mat", file, by_hand=True)},
        pairs=200,
        example=("test-07-002", None, None, ["class07"]),
        widths={"cnn": 4096, "xmedia_bow": 3000},
    )


def tvgraz() -> Case:
    categories = ["brain", "butterfly", "cactus", "deer", "dice", "dolphin", "elephant", "frog", "harp", "pram"]
    texts = {
        f"{category}_{number:02d}": f"ten words stand before this one, a number: &lt; {number} of {category}"
        for category in categories
        for number in range(8)
    }
    files = official.tvgraz(texts | {"harp_99": "exactly ten words stand in this text and no more"})
    return Case(
        "tvgraz",
        {"tvgraz": Archive("", below("tvgraz", files), by_hand=True)},
        pairs=80,
        example=(
            "deer_03",
            "tvgraz/images/deer_03.jpg",
            "ten words stand before this one, a number: < 3 of deer",
            ["deer"],
        ),
    )


CASES: dict[str, Callable[[], Case]] = {
    "wikipedia": wikipedia,
    "pascal_sentence": pascal_sentence,
    "pascal_sentence, copy": lambda: pascal_sentence(copy=True),
    "pascal_voc2007": pascal_voc2007,
    "mirflickr": mirflickr,
    "mirflickr_20015": mirflickr_20015,
    "mirflickr_20015, rows without names": lambda: mirflickr_20015(named=False),
    "mscoco": mscoco,
    "flickr8k": flickr8k,
    "nus_wide": lambda: nus_wide("nus_wide", nested=True),
    "nus_wide, flat": lambda: nus_wide("nus_wide", nested=False),
    "nus_wide_10k": lambda: nus_wide("nus_wide_10k", nested=True),
    "nus_wide_tc21": lambda: nus_wide("nus_wide_tc21", nested=False),
    "xmedia": xmedia,
    "tvgraz": tvgraz,
}


@cache
def made(name: str) -> Case:
    if name.startswith("nus_wide") and not shutil.which("bsdtar"):
        pytest.skip("this machine has no bsdtar, which RAR archives need")
    return CASES[name]()


@pytest.fixture(params=CASES, ids=lambda name: name.replace(", ", "-").replace(" ", "-"))
def case(request) -> Case:
    return made(request.param)


COVERED = {name.partition(",")[0] for name in CASES}


def test_every_data_set_has_a_case():
    """Tux Paint's stamps have their own test, of the real archive."""
    assert set(CATALOGUE.datasets) - {"tuxpaint_stamps"} == COVERED


# From archives to pairs, pictures, views and splits

server = test_assets.server


class ArchiveHandler(test_assets.Handler):
    """Gives each file by the last part of its address."""

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        if name not in self.server.files:
            self.send_error(404)
            return
        self.server.content = self.server.files[name]
        super().do_GET()


@pytest.fixture
def host(server):
    server.files, server.RequestHandlerClass = {}, ArchiveHandler
    return server


@pytest.fixture
def raw(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("CMR_MIRRORS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    return Path("data/raw")  # relative, as the workflow has it


def needed(dataset: str) -> list[str]:
    """The assets that anything of a data set is read from."""
    settings = CATALOGUE.dataset(dataset)
    views = [ready["reads"] for views in settings["views"].values() for ready in views.values()]
    return list(dict.fromkeys(chain(settings["reads"], settings["images"], *views)))


def local_spec(asset: str, host, keep: tuple[str, ...] = ()) -> dict:
    """The catalogue's entry with the local address and without what only the original has, `keep` aside."""
    spec = CATALOGUE.assets[asset]
    original = {"sha256", "md5", "size"} - set(keep)
    local = {"mirror": [_without(form, original) for form in spec.get("mirror", [])]}
    if "url" in spec:
        address = f"http://127.0.0.1:{host.server_port}/{PurePosixPath(spec['url']['address']).name}"
        local["url"] = _without(spec["url"], original) | {"address": address}
    return _without(spec, {"debian", "wheel"}) | local


def _without(settings: dict, keys: set[str]) -> dict:
    return {key: value for key, value in settings.items() if key not in keys}


def obtain(asset: str, spec: dict, raw: Path) -> dict:
    """The manifest of the asset."""
    manifest = assets.obtain(asset, spec, mirrors=[Path("mirror")], folder=raw / asset, progress=SILENT)
    return read_json(manifest)


def obtain_archives(case: Case, host, raw: Path) -> None:
    """All assets of a data set, from the server or from the mirror."""
    for asset in needed(case.dataset):
        archive = case.archives[asset]
        if not archive.by_hand:
            host.files[archive.name] = archive.content
        elif archive.name:
            lay_out(Path("mirror"), {archive.name: archive.content})
        else:
            lay_out(Path("mirror"), archive.files)
        manifest = obtain(asset, local_spec(asset, host), raw)
        assert manifest["source"] == ("mirror" if archive.by_hand else "url")


def obtain_unpacked(case: Case, host, raw: Path) -> None:
    """All assets of a data set from a mirror in which a person has unpacked what can be; the others as before."""
    for archive in case.archives.values():
        if archive.home is not None:
            lay_out(Path("mirror") / archive.home, archive.files)
    for asset in needed(case.dataset):
        archive = case.archives[asset]
        if archive.home is not None:
            assert obtain(asset, local_spec(asset, host), raw)["source"] == "mirror"
    rest = {asset: archive for asset, archive in case.archives.items() if archive.home is None}
    for asset, archive in rest.items():
        host.files[archive.name] = archive.content if archive.name else b""
        lay_out(Path("mirror"), {archive.name: archive.content} if archive.by_hand and archive.name else {})
        lay_out(Path("mirror"), archive.files if not archive.name else {})
        obtain(asset, local_spec(asset, host), raw)


def read(dataset: str, raw: Path):
    """All items, as scripts/read_dataset.py reads them."""
    settings = CATALOGUE.dataset(dataset)
    folders = {asset: raw / asset for asset in dict.fromkeys([*settings["reads"], *settings["images"]])}
    return pair_table(call(settings["reader"], READERS, folders, **settings["options"]), raw, SILENT)


def scaled(protocol: dict, pairs, whole: int | None) -> dict:
    """A protocol with its numbers of items reduced as the data set is."""
    protocol = dict(protocol)
    if sizes := protocol.get("per_class"):
        share = pairs["labels"].str[0].value_counts().min() / sum(sizes.values())
        protocol["per_class"] = {part: max(1, round(share * size)) for part, size in sizes.items()}
    if sizes := protocol.get("sizes"):
        whole = whole or sum(sizes.values())
        protocol["sizes"] = {
            part: int(size * len(pairs) / whole) if isinstance(size, int) else size for part, size in sizes.items()
        }
    for key in ("valid_from_train", "valid_from_test"):
        if isinstance(protocol.get(key), int):
            protocol[key] = round(protocol[key] * len(pairs) / whole)
    return protocol


def test_archives_are_read_as_configured(case, host, raw):
    settings = CATALOGUE.dataset(case.dataset)
    obtain_archives(case, host, raw)
    table = read(case.dataset, raw)
    pairs, bad = separate_bad_items(table, settings["on_bad_item"])
    assert (len(pairs), len(bad)) == (case.pairs, case.dropped)
    if "classes" in settings["expected"]:
        assert len(classes_of(table)) == settings["expected"]["classes"]
    found = pairs.set_index("id").loc[case.example[0]]
    assert (found["image"], found["text"], found["labels"]) == case.example[1:]

    if case.example[1]:
        images = check_images(pairs, raw, settings["on_bad_item"], SILENT)
        assert images["problem"].notna().sum() == case.unreadable
        # Made pictures are all different, so that each item has found its own.
        assert images["sha256"].nunique() == len(pairs) - case.unreadable
        homes = {place.partition("/")[0] for place in pairs["image"]}
        assert homes == set(settings["images"])
    else:
        with pytest.raises(UserError, match="the data set has no images: choose image features"):
            check_images(pairs, raw, settings["on_bad_item"])

    widths = {}
    for views in settings["views"].values():
        for view, ready in views.items():
            blocks = call(
                ready["reader"], READERS, {asset: raw / asset for asset in ready["reads"]}, **ready["options"]
            )
            values = collect_rows(view, blocks, pairs["id"], SILENT)
            assert values.any()
            if ready["counts"]:
                assert np.array_equal(values, np.abs(np.round(values)))
            widths[view] = values.shape[1]
    assert widths == case.widths

    for name in CATALOGUE.splits(case.dataset):
        split = CATALOGUE.split(case.dataset, name)
        protocol = scaled(split["protocol"], pairs, settings["expected"].get("pairs"))
        parts = make_split(pairs, protocol, split["seed"]).set_index("id")["part"]
        assert set(parts) == {"train", "valid", "test"}
        if protocol.get("from") == "source":
            source = pairs.set_index("id")["part"].dropna()
            assert set(parts.index) == set(source.index)
            donor = "test" if "valid_from_test" in protocol else "train"
            moved = source[parts.index][parts != source[parts.index]]
            assert set(moved) <= {donor}


def test_unpacked_copies_in_a_mirror_are_read_alike(case, host, raw):
    obtain_archives(case, host, raw)
    expected = read(case.dataset, raw)
    shutil.rmtree(raw)
    shutil.rmtree("mirror")
    obtain_unpacked(case, host, raw)
    assert read(case.dataset, raw).equals(expected)


# Copies in part

NO_TEXTS = {
    "wikipedia": "wikipedia/texts",
    "flickr8k": "flickr8k_text/Flickr8k.token.txt",
    "mscoco": "mscoco_annotations/captions_*.json",
    "mirflickr": "mirflickr25k/meta/tags",
    "nus_wide_tc21": "nus_wide_tags/**/All_Tags.txt",
    "tvgraz": "tvgraz/texts",
}


@pytest.mark.parametrize("name", NO_TEXTS)
def test_copy_without_texts_is_read_without_texts(name, host, raw):
    case = made(name)
    obtain_archives(case, host, raw)
    looked_for = CATALOGUE.dataset(case.dataset)["look_for"].get("texts", [])  # by the listing of data sets
    assert not looked_for or any((raw / place).exists() for place in looked_for)
    before = read(case.dataset, raw)
    for path in raw.glob(NO_TEXTS[name]):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pairs, _ = separate_bad_items(read(case.dataset, raw), CATALOGUE.dataset(case.dataset)["on_bad_item"])
    assert pairs["text"].isna().all()
    both = before.merge(pairs, on="id")
    assert len(both) >= case.pairs - 2  # Flickr8k's lists lack two images that have captions
    assert both["labels_x"].equals(both["labels_y"])
    assert not any((raw / place).exists() for place in looked_for)


def test_copy_without_pictures_is_read_and_says_so_where_they_are_needed(case, host, raw):
    settings = CATALOGUE.dataset(case.dataset)
    if not case.example[1]:
        pytest.skip("no picture of it is published, or this copy does not name them")
    obtain_archives(case, host, raw)
    before = read(case.dataset, raw)
    for path in raw.rglob("*.jpg"):
        path.unlink()
    table = read(case.dataset, raw)
    if case.dataset == "pascal_sentence":  # without a folder images, they lie by class
        table["image"] = before["image"]
    assert table.equals(before)
    pairs, _ = separate_bad_items(table, settings["on_bad_item"])
    first = raw / pairs["image"].iloc[0]
    with pytest.raises(UserError, match=f"none of the {case.pairs} images can be used; the first: image {first} does"):
        check_images(pairs, raw, settings["on_bad_item"])


# Faults on the way


def test_archive_that_was_cut_and_resumed_is_read(host, raw, monkeypatch):
    monkeypatch.setattr(download_module, "RETRIES", 0)
    case = made("wikipedia")
    members = case.archives["wikipedia"].files
    padding = np.random.default_rng(0).bytes(LARGE)  # does not shrink when packed
    host.files["wikipedia_dataset.zip"] = pack("a.zip", {"wikipedia_dataset/README": padding} | members)
    spec = local_spec("wikipedia", host)
    host.faults = [("cut", 2 * download_module.BLOCK_BYTES)]
    with pytest.raises(UserError, match=r"asset wikipedia could not be obtained(.|\n)*the next run goes on there"):
        obtain("wikipedia", spec, raw)
    assert not (raw / "wikipedia").exists()
    obtain("wikipedia", spec, raw)
    assert host.ranges == [None, f"bytes={2 * download_module.BLOCK_BYTES}-"]
    assert separate_bad_items(read("wikipedia", raw), "stop")[0]["text"].notna().all()


IN_DATA_SETS = {asset for name in COVERED for asset in needed(name)}
PUBLISHED = [
    (asset, key)
    for asset, spec in CATALOGUE.assets.items()
    for key in ("sha256", "md5", "size")
    if key in spec.get("url", {}) and asset in IN_DATA_SETS
]


@pytest.mark.parametrize(("asset", "key"), PUBLISHED)
def test_other_archive_than_the_published_one_is_refused_and_leaves_nothing(asset, key, host, raw):
    spec = local_spec(asset, host, keep=(key,))
    host.files[PurePosixPath(spec["url"]["address"]).name] = pack("a.zip", {"a": b"another archive"})
    with pytest.raises(UserError, match=f"expects {spec['url'][key]}") as caught:
        obtain(asset, spec, raw)
    assert asset in str(caught.value)
    assert [path for path in raw.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_archive_behind_a_redirect_keeps_its_name_and_is_read(host, raw):
    """GitHub's releases and Hugging Face lead to stores whose names of files say nothing."""
    case = made("flickr8k")
    archive = case.archives["flickr8k_text"]
    host.files = {archive.name: b"", "0f3a9c": archive.content}
    host.faults = [("redirect", "/store/0f3a9c")]
    spec = local_spec("flickr8k_text", host)
    manifest = obtain("flickr8k_text", spec, raw)
    assert manifest["file"] == archive.name
    assert len(read("flickr8k", raw)) == case.pairs


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([("status", 404)], "the server answers 404"),
        ([("status", 500)] * 5, "the server failed"),
        ([("cut", 10)] * 5, "what has arrived is kept, and the next run goes on there"),
    ],
)
def test_archive_that_cannot_be_had_is_named_with_what_to_do(faults, message, host, raw):
    host.files["train2014.zip"] = made("mscoco").archives["mscoco_train2014"].content
    host.faults = faults
    with pytest.raises(UserError, match="asset mscoco_train2014 could not be obtained") as caught:
        obtain("mscoco_train2014", local_spec("mscoco_train2014", host), raw)
    for part in (message, "train2014.zip or mscoco/train2014/", "cocodataset.org, Download", "data/manual"):
        assert part in str(caught.value)
    assert not (raw / "mscoco_train2014").exists()


def test_slow_server_is_waited_for_and_a_silent_one_asked_again(host, raw, monkeypatch):
    monkeypatch.setattr(download_module, "TIMEOUT", (2, 0.3))
    case = made("mscoco")
    host.files["val2014.zip"] = case.archives["mscoco_val2014"].content
    host.faults = [("stall", 100)]
    obtain("mscoco_val2014", local_spec("mscoco_val2014", host), raw)
    assert len(host.ranges) == 2
    assert (raw / "mscoco_val2014/COCO_val2014_000000000120.jpg").read_bytes() == picture(120)
