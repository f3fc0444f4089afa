"""Configuration: a typo is an error that names file and key, before anything runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from cmr.catalogue import Catalogue
from cmr.construct import VIEWS, load
from cmr.errors import UserError
from cmr.evaluation import evaluate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "workflow/schemas", tmp_path / "workflow/schemas")
    return tmp_path


def edit(path, change):
    settings = yaml.safe_load(path.read_text())
    change(settings)
    path.write_text(yaml.safe_dump(settings))


def config(**changes):
    return yaml.safe_load((ROOT / "config/config.yaml").read_text()) | changes


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "methods/cca.yaml",
            lambda s: s.update(implementatoin=s.pop("implementation")),
            r'config/methods/cca\.yaml: .*unknown key "implementatoin"; did you mean "implementation"',
        ),
        (
            "methods/cca.yaml",
            lambda s: s["hyperparameters"]["ridge"].update(grid=[-1.0]),
            r"config/methods/cca\.yaml: hyperparameters: ridge: -1\.0 is less than the minimum",
        ),
        (
            "methods/cca.yaml",
            lambda s: s["hyperparameters"]["ridge"].update(gird=s["hyperparameters"]["ridge"].pop("grid")),
            r'config/methods/cca\.yaml: hyperparameters: ridge: unknown key "gird"; did you mean "grid"',
        ),
        (
            "datasets/tuxpaint_stamps.yaml",
            lambda s: s.update(reads=["tuxpaint_stamp"]),
            r'datasets/tuxpaint_stamps\.yaml: reads: unknown asset "tuxpaint_stamp"; did you mean "tuxpaint_stamps"',
        ),
        (
            "datasets/tuxpaint_stamps.yaml",
            lambda s: s.update(on_bad_item="ignore"),
            r"datasets/tuxpaint_stamps\.yaml: on_bad_item: 'ignore' is not one of stop, drop",
        ),
        (
            "views/image.yaml",
            lambda s: s["vgg16_fc7"].update(option={}),
            r'config/views/image\.yaml: vgg16_fc7: unknown key "option"; did you mean "options"',
        ),
        (
            "studies/quickstart.yaml",
            lambda s: s["runs"][0].update(methods=["cca", "sn"]),
            r'config/studies/quickstart\.yaml: runs: unknown method "sn"; did you mean "sm"',
        ),
        (
            "studies/quickstart.yaml",
            lambda s: s["runs"][0].update(splits=["random-5"]),
            r'unknown split of tuxpaint_stamps "random-5"; did you mean "random-\d"',
        ),
        (
            "studies/quickstart.yaml",
            lambda s: s["runs"][0].update(image_views=["alexnet"]),
            r'unknown image view of tuxpaint_stamps "alexnet"; did you mean "alexnet_fc7"',
        ),
        (
            "studies/quickstart.yaml",
            lambda s: s["runs"][0].update(image_views=["efficientnet_lite0_patches"]),
            r'runs: .*"efficientnet_lite0_patches" holds patches, but random takes vectors or pixels',
        ),
        (
            "studies/quickstart.yaml",
            lambda s: s["runs"][0].update(text_views=["tokens"]),
            r'runs: .*the text view "tokens" holds tokens, but cca takes vectors: choose another view',
        ),
        (
            "views/image.yaml",
            lambda s: s["efficientnet_lite0"].update(patches="efficientnet_lite0_patch"),
            r'image\.yaml: efficientnet_lite0: patches: unknown .*; did you mean "efficientnet_lite0_patches"',
        ),
        (
            "views/image.yaml",
            lambda s: s["efficientnet_lite0"].update(patches="gist"),
            r'image\.yaml: efficientnet_lite0: patches: "gist" holds vectors, but patches are needed',
        ),
        (
            "studies/quickstart.yaml",
            lambda s: s["runs"][0].update(datasets=["wiki"]),
            r'unknown dataset "wiki"; did you mean "wikipedia"',
        ),
    ],
)
def test_typo_names_file_key_and_remedy(root, file, change, message):
    edit(root / "config" / file, change)
    with pytest.raises(UserError, match=message):
        Catalogue.read(root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"studys": ["quickstart"]}, 'configuration: unknown key "studys"; did you mean "studies"'),
        ({"studies": ["quikstart"]}, 'studies: unknown study "quikstart"; did you mean "quickstart"'),
        ({"device": "gpu"}, """device: "gpu" will not do: where torch computes; auto, cpu, cuda or cuda:<number>"""),
        ({"data": "my data"}, 'data: "my data" will not do: .*without blanks'),
        ({"methods": {"ccca": {}}}, 'unknown method "ccca"; did you mean "cca"'),
        ({"methods": {"cca": {"rigde": 1.0}}}, 'methods: cca: unknown hyper-parameter "rigde"; did you mean "ridge"'),
        ({"studies": "hrl"}, r"studies: 'hrl' is no list; write \[hrl\]"),
        ({"substitute": "wikipedia"}, r"wikipedia has no `rehearsal`.* has one \(tuxpaint_stamps\)"),
        ({"substitute": "tuxpaint_stamp"}, 'unknown data set "tuxpaint_stamp"; did you mean "tuxpaint_stamps"'),
        ({"without": ["mscoco"]}, 'without: unknown asset "mscoco"; did you mean "'),
        ({"methods": {"cca": {"ridge": "big"}}}, "methods: cca: ridge: 'big' is not of type 'number'"),
        ({"methods": {"cca": {"n_components": [5, -1]}}}, "cca: n_components: -1 is less than the minimum of 0"),
    ],
)
def test_wrong_override_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Catalogue.read(ROOT, config(**changes))


def test_a_method_that_looks_at_parts_needs_views_that_have_them(root):
    views = {"image_view": "efficientnet_lite0", "text_view": "tfidf"}
    edit(root / "config/methods/cca.yaml", lambda s: s.update(patches=True))
    with pytest.raises(UserError, match=r'cca learns from the parts of items too, but the text view "lda" names no'):
        Catalogue.read(root)
    edit(
        root / "config/studies/quickstart.yaml",
        lambda s: s.update(runs=s["runs"][:1], figures={}, view_comparison=None) or s.pop("view_comparison"),
    )
    edit(root / "config/studies/quickstart.yaml", lambda s: s["setting"].pop("views_of"))
    (root / "config/studies/wikipedia.yaml").unlink()
    shutil.rmtree(root / "config/papers")
    catalogue = Catalogue.read(root)
    run = {"dataset": "tuxpaint_stamps", "method": "cca", **views}
    assert catalogue.patches_of(run, "image") == "efficientnet_lite0_patches"
    assert catalogue.patches_of(run, "text") == "tfidf_sentences"
    assert catalogue.patches_of(run | {"method": "sm"}, "text") is None


def test_the_configuration_says_what_kind_of_values_each_view_has():
    catalogue = Catalogue.read(ROOT)
    for modality in ("image", "text"):
        for name in catalogue.views_of(modality):
            settings = catalogue.view(modality, name)
            if "implementation" in settings:
                options = settings["options"] | dict.fromkeys(settings["assets"], Path("asset"))
                assert load(settings["implementation"], VIEWS)(**options).kind == settings["kind"], name


def test_broken_yaml_names_the_file(root):
    (root / "config/views/text.yaml").write_text("bow: [")
    with pytest.raises(UserError, match=r"text\.yaml cannot be read"):
        Catalogue.read(root)


def test_override_fixes_a_value_or_gives_candidates():
    catalogue = Catalogue.read(ROOT, config(methods={"cca": {"ridge": 0.5, "n_components": [3, 4]}}))
    settings = catalogue.method("cca")
    assert settings["fixed"] == {"ridge": 0.5}
    assert settings["grid"]["n_components"] == [3, 4]
    assert settings["grid"]["power"] == catalogue.methods["cca"]["hyperparameters"]["power"]["grid"]


def test_runs_are_each_named_once(root):
    once = Catalogue.read(root).runs("quickstart")
    edit(root / "config/studies/quickstart.yaml", lambda s: s["runs"].append(s["runs"][0]))
    twice = Catalogue.read(root).runs("quickstart")
    assert twice == once
    assert len({tuple(run.values()) for run in once}) == len(once)


def test_run_has_the_seeds_of_all_studies_that_share_it(root):
    study = yaml.safe_load((root / "config/studies/quickstart.yaml").read_text())
    study["runs"] = [study["runs"][0] | {"methods": ["sm"], "seeds": [4, 1]}]
    for item in (*study["tables"].values(), *study["figures"].values()):
        item.pop("methods", None)
    study.pop("gallery", None)
    study.pop("view_comparison", None)
    study["setting"].pop("views_of")
    (root / "config/studies/other.yaml").write_text(yaml.safe_dump(study))
    catalogue = Catalogue.read(root)
    setting = study["setting"].items()
    runs = {run["method"]: run for run in catalogue.runs("quickstart") if setting <= run.items()}
    assert catalogue.seeds(runs["sm"]) == [0, 1, 4]
    assert catalogue.seeds(runs["cca"]) == [0]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("methods", "ccca", 'unknown method "ccca"; did you mean "cca"'),
        ("datasets", "stamps", 'unknown dataset "stamps"'),
        ("studies", "quick", 'unknown study "quick"; did you mean "quickstart"'),
        ("image_views", "vgg", 'unknown image view "vgg"'),
        ("text_views", "tf-idf", 'unknown text view "tf-idf"; did you mean "tfidf"'),
        ("assets", "alexnet", 'unknown asset "alexnet"; did you mean "alexnet_weights"'),
    ],
)
def test_unknown_name_is_refused_with_a_suggestion(kind, name, message):
    with pytest.raises(UserError, match=message):
        getattr(Catalogue.read(ROOT), kind)[name]


@pytest.mark.parametrize("split", ["random-99", "random-x", "official"])
def test_unknown_split_is_refused(split):
    with pytest.raises(UserError, match=f'unknown split "{split}"'):
        Catalogue.read(ROOT).split("tuxpaint_stamps", split)


def test_studies_may_name_every_metric_that_is_computed_and_no_other():
    rng = np.random.default_rng(0)
    scores, _ = evaluate(rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.ones((6, 1), dtype=bool), "cosine")
    schema = yaml.safe_load((ROOT / "workflow/schemas/study.schema.yaml").read_text())
    assert sorted(schema["$defs"]["metric"]["enum"]) == sorted(scores["metric"].unique())


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "datasets/wikipedia.yaml",
            lambda s: s["views"]["text"].update(lda=s["views"]["text"].pop("lda10")),
            r'wikipedia\.yaml: views: text: "lda" is also a computed view; choose another name',
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["views"]["image"]["sift128"].update(reads=["wiki"]),
            r'wikipedia\.yaml: views: reads: unknown asset "wiki"; did you mean "wikipedia"',
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["look_for"].update(texts="wikpedia/texts"),
            r'wikipedia\.yaml: look_for: unknown asset "wikpedia"; did you mean "wikipedia"',
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["splits"]["hrl"].update(valid_from_train=0.1),
            r"wikipedia\.yaml: splits: hrl: give one of a size of valid, valid_from_train, valid_from_test",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["splits"]["random"].pop("valid_from_train"),
            r"wikipedia\.yaml: splits: random: give one of a size of valid, valid_from_train, valid_from_test",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s.update(folder="data/manual/mine"),
            r"wikipedia\.yaml: ",
        ),
        (
            "studies/wikipedia.yaml",
            lambda s: s["runs"][0].update(text_views=["lda01"]),
            r'wikipedia\.yaml: runs: unknown text view of wikipedia "lda01"; did you mean "lda10"',
        ),
        (
            "studies/wikipedia.yaml",
            lambda s: s["tables"]["map_roph"].update(image_view="vgg16_fc7"),
            r'wikipedia\.yaml: tables: map_roph: unknown image view of the study "vgg16_fc7"',
        ),
        (
            "studies/wikipedia.yaml",
            lambda s: s["tables"]["map_sift_lda"].pop("text_view"),
            r"tables: map_sift_lda: name dataset, image_view, text_view so that exactly one setting fits; "
            r"there are: wikipedia sift128 lda10; wikipedia sift128 tfidf1000",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s.update(images=["wiki"]),
            r'wikipedia\.yaml: images: unknown asset "wiki"; did you mean "wikipedia"',
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["splits"]["random"]["sizes"].update(valid=10),
            r"wikipedia\.yaml: splits: random: give one of a size of valid",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["splits"]["official"].update(valid_from_test=0.1),
            r"wikipedia\.yaml: splits: official: give one of a size of valid",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["splits"]["random"]["sizes"].update(train="60%"),
            r"splits: random: sizes: train: '60%' will not do: a number of items \(400\), or a share of them \(0.4\)",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["splits"]["official"].update(sizes={"train": 1, "test": 1}),
            r"splits: official: give exactly one of from, sizes, per_class",
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s.update(reader="cmr.datasets.wikpedia.read"),
            r'wikipedia\.yaml: there is no reader "cmr.datasets.wikpedia.read"; it is a function\'s dotted name',
        ),
        (
            "datasets/wikipedia.yaml",
            lambda s: s["views"]["text"]["lda10"].update(reader="features"),
            r'wikipedia\.yaml: there is no reader "features"',
        ),
    ],
)
def test_mistake_in_a_data_set_names_file_key_and_remedy(root, file, change, message):
    edit(root / "config" / file, change)
    with pytest.raises(UserError, match=message):
        Catalogue.read(root)


def compare_views(study, **changes):
    """Make the quickstart compare two text views on two splits."""
    block = study["runs"][0] | {"splits": ["random-1", "random-0"], "text_views": ["tfidf", "bow"], "methods": ["sm"]}
    study["runs"] = [study["runs"][0], block]
    study["setting"] = {"text_view": "tfidf"}
    study["view_comparison"] = {
        "dataset": "tuxpaint_stamps",
        "image_views": ["efficientnet_lite0"],
        "text_views": ["tfidf", "bow"],
        "methods": ["sm"],
        "metric": "map_all",
        "tasks": ["mean"],
        "caption": "Views.",
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_views": ["tfdf"]}, 'unknown text view of the study "tfdf"; did you mean "tfidf"'),
        ({"image_views": ["alexnet_fc7"]}, 'unknown image view of the study "alexnet_fc7"'),
        ({"methods": ["sn"]}, 'unknown method of the study "sn"; did you mean "sm"'),
        ({"dataset": "wikipedia"}, 'unknown dataset of the study "wikipedia"; known are tuxpaint_stamps'),
        ({"splits": ["random-9"]}, r'unknown split of the study "random-9"; did you mean "random-\d"'),
        ({"methods": ["random"]}, 'methods: leave out "random": the page names its score'),
        (
            {"splits": ["random-0", "random-4"]},
            r"tuxpaint_stamps/random-4/efficientnet_lite0\+bow/sm is no run of the study; add it to runs",
        ),
        (
            {"methods": ["sm", "cca"]},
            r"tuxpaint_stamps/random-\d/efficientnet_lite0\+bow/cca is no run of the study; add it to runs",
        ),
        ({"metrics": "map_all"}, 'unknown key "metrics"; did you mean "metric"'),
    ],
)
def test_mistake_in_a_comparison_of_views_names_key_and_remedy(root, changes, message):
    edit(root / "config/studies/quickstart.yaml", lambda study: compare_views(study, **changes))
    with pytest.raises(UserError, match=rf"config/studies/quickstart\.yaml: view_comparison: {message}"):
        Catalogue.read(root)


def test_a_comparison_of_views_needs_the_floor_on_its_splits(root):
    def without_floor(study):
        compare_views(study)
        study["runs"][0]["methods"].remove("random")
        for figure in study["figures"].values():
            figure.pop("methods", None)

    edit(root / "config/studies/quickstart.yaml", without_floor)
    with pytest.raises(UserError, match=r"view_comparison: random-\d has no run of random, whose score is the floor"):
        Catalogue.read(root)


def test_views_are_compared_on_the_splits_that_all_combinations_have(root):
    edit(root / "config/studies/quickstart.yaml", compare_views)
    assert Catalogue.read(root).view_comparison("quickstart")["splits"] == ["random-0", "random-1"]
    edit(root / "config/studies/quickstart.yaml", lambda study: compare_views(study, splits=["random-1"]))
    assert Catalogue.read(root).view_comparison("quickstart")["splits"] == ["random-1"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (None, "tables: map_all: name dataset, image_view, text_view so that exactly one setting fits"),
        ({"text_view": "tfdf"}, 'setting: unknown text view of the study "tfdf"; did you mean "tfidf"'),
        ({"view": "tfidf"}, 'setting: unknown key "view"'),
    ],
)
def test_tables_of_a_study_with_several_settings_need_to_know_theirs(root, setting, message):
    def change(study):
        compare_views(study)
        study.pop("setting")
        study.update({"setting": setting} if setting else {})

    edit(root / "config/studies/quickstart.yaml", change)
    with pytest.raises(UserError, match=message):
        Catalogue.read(root)


def test_a_setting_that_is_clear_need_not_be_named_in_full(root):
    edit(root / "config/studies/wikipedia.yaml", lambda s: s["tables"]["map_roph"].pop("text_view"))
    Catalogue.read(root)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my birds.yaml", "title: x", r"my birds\.yaml: its name becomes a folder's"),
        ("empty.yaml", "", r"empty\.yaml: it is empty"),
    ],
)
def test_a_file_that_is_no_data_set_is_named(root, name, content, message):
    (root / "config/datasets" / name).write_text(content)
    with pytest.raises(UserError, match=message):
        Catalogue.read(root)


def test_the_same_asset_in_two_files_is_refused(root):
    shutil.copy(root / "config/assets/wikipedia.yaml", root / "config/assets/zebra.yaml")
    with pytest.raises(UserError, match=r'zebra\.yaml: the asset "wikipedia" has the name of another'):
        Catalogue.read(root)


def test_a_folder_of_one_s_own_is_the_asset_that_everything_reads(root):
    mine = {
        "title": "Mine",
        "source": "me",
        "licence": "mine",
        "folder": "data/manual/mine",
        "reader": "cmr.datasets.table.read",
        "splits": {"once": {"sizes": {"train": 0.5, "valid": 0.2, "test": 0.3}}},
        "views": {"image": {"own": {"description": "d", "reader": "cmr.datasets.arrays.features"}}},
    }
    (root / "config/datasets/mine.yaml").write_text(yaml.safe_dump(mine))
    catalogue = Catalogue.read(root)
    settings = catalogue.dataset("mine")
    assert settings["reads"] == settings["images"] == settings["views"]["image"]["own"]["reads"] == ["mine"]
    assert catalogue.assets["mine"]["local"] == "data/manual/mine"
    assert catalogue.splits("mine") == ["once"]
    assert catalogue.split("mine", "once") == {"protocol": mine["splits"]["once"], "seed": 0}


def test_repeated_splits_are_numbered_and_differ_by_their_seed():
    catalogue = Catalogue.read(ROOT)
    assert catalogue.splits("wikipedia")[:6] == [*(f"official-{k}" for k in range(5)), "hrl-0"]
    assert catalogue.split("wikipedia", "official-3") == {
        "protocol": {"from": "source", "valid_from_train": 0.1},
        "seed": 3,
    }


def test_views_that_a_data_set_comes_with_are_told_from_computed_ones():
    catalogue = Catalogue.read(ROOT)
    assert catalogue.is_ready("wikipedia", "text", "lda10")
    assert not catalogue.is_ready("wikipedia", "text", "lda")
    assert catalogue.ready_view("wikipedia", "text", "lda10")["counts"] is False
    with pytest.raises(UserError, match='unknown ready image view of wikipedia "lda10"'):
        catalogue.ready_view("wikipedia", "image", "lda10")


def test_a_variant_is_a_method_with_other_values_and_without_their_grid(root):
    def add(settings):
        own = {"title": "CCA, unweighted", "learns_from": "nothing", "values": {"power": 0.0}}
        settings["variants"]["unweighted"] = own

    edit(root / "config/methods/cca.yaml", add)
    catalogue = Catalogue.read(root)
    variant, own = catalogue.method("cca_unweighted"), catalogue.method("cca")
    assert variant["title"] == "CCA, unweighted" and variant["variant_of"] == "cca"
    assert variant["fixed"] == {"power": 0.0} and "power" in own["grid"]
    assert variant["grid"] == {key: values for key, values in own["grid"].items() if key != "power"}
    assert "variants" not in own and variant["description"] == own["description"]
    assert (variant["learns_from"], own["learns_from"]) == ("nothing", "pairs")


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (
            {"x": {"title": "X", "values": {"pwoer": 1.0}}},
            r'cca\.yaml: variants: x: unknown hyper-parameter "pwoer"',
        ),
        ({"x": {"title": "X", "values": {"power": -1.0}}}, r"cca\.yaml: variants: x: power: -1\.0 is less than"),
        ({"x": {"values": {"power": 1.0}}}, r"cca\.yaml: variants: x: 'title' is a required property"),
        ({"x": {"title": "X"}}, r"cca\.yaml: variants: x: give at least one of values, grids, selects_on"),
        (
            {"x": {"title": "X", "grids": {"power": []}}},
            r"cca\.yaml: variants: x: grids: power: \[\] should be non-empty",
        ),
        ({"x": {"title": "X", "grids": {"power": 1.0}}}, r"cca\.yaml: variants: x: grids: power: 1\.0 is no list"),
        ({"x": {"title": "X", "grids": {"power": [0.0, -1.0]}}}, r"variants: x: power: -1\.0 is less than"),
        ({"x": {"title": "X", "grids": {"pwoer": [1.0]}}}, r'variants: x: unknown hyper-parameter "pwoer"'),
        (
            {"x": {"title": "X", "values": {"power": 1.0}, "grids": {"power": [1.0]}}},
            r"variants: x: power is given a value and a grid; give one of them",
        ),
        ({"x": {"title": "X", "selects_on": "valid"}}, r"variants: x: selects_on: 'valid' is not one of test"),
    ],
)
def test_a_variant_that_is_wrong_is_refused(root, variants, message):
    edit(root / "config/methods/cca.yaml", lambda settings: settings["variants"].update(variants))
    with pytest.raises(UserError, match=message):
        Catalogue.read(root)


def test_a_variant_may_have_candidates_of_its_own_which_cannot_be_overridden(root):
    grids = {"power": [0.0, 0.5], "ridge": [0.1]}
    variant = {"title": "CCA, tried", "values": {"n_components": 3}, "grids": grids}
    edit(root / "config/methods/cca.yaml", lambda settings: settings["variants"].update(tried=variant))
    tried = Catalogue.read(root).method("cca_tried")
    assert tried["grid"] == grids and tried["fixed"] == {"n_components": 3}
    for key in ("power", "ridge", "n_components"):
        with pytest.raises(UserError, match=f"cca_tried: {key} makes the variant what it is; set it of cca instead"):
            Catalogue.read(root, config(methods={"cca_tried": {key: 1}}))


def test_a_variant_may_differ_in_what_it_chooses_by_alone(root):
    catalogue = Catalogue.read(root)
    variant, own = catalogue.method("sm_selected_on_test"), catalogue.method("sm")
    assert variant["selects_on"] == "test" and "selects_on" not in own
    assert (variant["grid"], variant["fixed"]) == (own["grid"], own["fixed"])


def test_a_variant_may_not_have_the_name_of_a_method(root):
    shutil.copy(root / "config/methods/sm.yaml", root / "config/methods/cca_x.yaml")
    variants = {"x": {"title": "X", "values": {"power": 1.0}}}
    edit(root / "config/methods/cca.yaml", lambda settings: settings["variants"].update(variants))
    with pytest.raises(UserError, match='"cca_x" is also the name of a method'):
        Catalogue.read(root)


def test_a_figure_may_name_methods_of_its_study_only(root):
    figure = {"kind": "convergence", "caption": "c", "methods": ["cca", "sn"]}
    edit(root / "config/studies/quickstart.yaml", lambda study: study["figures"].update(own=figure))
    with pytest.raises(UserError, match=r'figures: own: unknown method of the study "sn"; did you mean "sm"'):
        Catalogue.read(root)


def test_what_makes_a_variant_cannot_be_overridden_and_candidates_neither(root):
    for value in (64, [16, 64]):
        with pytest.raises(
            UserError, match="methods: seph_32: bits makes the variant what it is; set it of seph instead"
        ):
            Catalogue.read(root, config(methods={"seph_32": {"bits": value}}))
    assert Catalogue.read(root, config(methods={"seph_32": {"ridge": 0.5}})).method("seph_32")["fixed"]["ridge"] == 0.5


def test_a_value_that_variants_alone_may_have_is_to_be_had_by_their_name_alone(root):
    def reserve(settings):
        settings["hyperparameters"]["power"]["by_name"] = [2.0]
        settings["variants"]["squared"] = {"title": "CCA, squared", "values": {"power": 2.0}}

    edit(root / "config/methods/cca.yaml", reserve)
    assert Catalogue.read(root).method("cca_squared")["fixed"]["power"] == 2.0
    edit(root / "config/methods/cca.yaml", lambda s: s["hyperparameters"]["power"].update(enum=[0.0, 1.0, 2.0]))
    with pytest.raises(UserError, match=r"cca: power: 3\.0 is not one of 0\.0, 1\.0$"):
        Catalogue.read(root, config(methods={"cca": {"power": 3.0}}))
    for value in (2.0, [1.0, 2.0]):
        with pytest.raises(UserError, match=r"methods: cca: power: 2\.0 is not to be had by a setting.*cca_squared"):
            Catalogue.read(root, config(methods={"cca": {"power": value}}))
    edit(root / "config/methods/cca.yaml", lambda s: s["hyperparameters"]["power"].update(default=2.0, grid=[2.0, 1.0]))
    with pytest.raises(UserError, match=r"cca\.yaml: hyperparameters: power: 2\.0 is not to be had by a setting"):
        Catalogue.read(root)


@pytest.mark.parametrize(
    ("views_of", "message"),
    [
        ({"sn": {"text_view": "lda"}}, 'setting: views_of: unknown method of the study "sn"; did you mean "sm"'),
        ({"sm": {"text_view": "bow"}}, 'setting: views_of: sm: unknown text view of the study "bow"'),
        ({"sm": {}}, "setting: views_of: sm: {} should be non-empty"),
    ],
)
def test_a_study_shows_methods_on_views_of_their_own_that_it_has(root, views_of, message):
    edit(root / "config/studies/quickstart.yaml", lambda s: s["setting"]["views_of"].update(sm={"text_view": "lda"}))
    Catalogue.read(root)
    edit(root / "config/studies/quickstart.yaml", lambda s: s["setting"]["views_of"].update(views_of))
    with pytest.raises(UserError, match=message):
        Catalogue.read(root)


def test_a_method_that_no_table_or_figure_would_show_is_named(root):
    file = root / "config/studies/ablations.yaml"
    edit(file, lambda s: s["setting"]["views_of"].pop("alscor_without_adversary"))
    with pytest.raises(
        UserError, match=r"ablations\.yaml: no table or figure shows alscor_without_adversary, .* setting: views_of"
    ):
        Catalogue.read(root)
    # Who names the methods of each table and figure, leaves others out on purpose.
    items = ("tables", "map_all"), ("figures", "map_bars"), ("figures", "training_history")
    edit(file, lambda s: [s[kind][item].update(methods=["eisr"]) for kind, item in items])
    Catalogue.read(root)


@pytest.mark.parametrize(
    ("method", "reason"), [("hrl_paired", "it sees pairs"), ("sm_selected_on_test", "it chooses by the test part")]
)
def test_a_comparison_of_views_takes_no_method_that_is_not_comparable(root, method, reason):
    def compare(study):
        study["runs"][-1]["methods"].append(method)
        study["view_comparison"]["methods"] = [method]

    edit(root / "config/studies/quickstart.yaml", compare)
    with pytest.raises(UserError, match=f'view_comparison: methods: leave out "{method}": {reason}'):
        Catalogue.read(root)


def test_a_title_names_the_values_that_are_in_force(root):
    titles = [
        Catalogue.read(root, config(methods=overrides)).method("seph")["title"]
        for overrides in ({}, {"seph": {"bits": 24}}, {"seph": {"bits": [8, 24]}})
    ]
    assert titles == ["SePH, 16 bits", "SePH, 24 bits", "SePH, 8 or 24 bits"]
    edit(root / "config/methods/seph.yaml", lambda settings: settings.update(title="SePH, {bit} bits"))
    with pytest.raises(UserError, match=r"seph\.yaml: title: 'bit' is no hyper-parameter"):
        Catalogue.read(root)


@pytest.mark.parametrize(("key", "value"), [("n_components", 10.0), ("n_components", True), ("ridge", float("nan"))])
def test_numbers_are_what_their_schema_says(root, key, value):
    with pytest.raises(UserError, match=f"methods: cca: {key}: .* is not of type"):
        Catalogue.read(root, config(methods={"cca": {key: value}}))


def test_an_implementation_that_is_nowhere_is_named(root):
    edit(
        root / "config/methods/cca.yaml", lambda settings: settings.update(implementation="cmr.methods.linera.cca.CCA")
    )
    with pytest.raises(
        UserError, match=r'cca\.yaml: implementation: there is no class "cmr\.methods\.linera\.cca\.CCA"'
    ):
        Catalogue.read(root)


def test_two_variants_may_not_have_one_name(root):
    variant = {"title": "X", "values": {"power": 1.0}}
    shutil.copy(root / "config/methods/cca.yaml", root / "config/methods/cca_b.yaml")
    edit(root / "config/methods/cca.yaml", lambda settings: settings["variants"].update(b_c=variant))
    edit(root / "config/methods/cca_b.yaml", lambda settings: settings["variants"].update(c=variant))
    with pytest.raises(UserError, match='"cca_b_c" is also the name of a method'):
        Catalogue.read(root)
