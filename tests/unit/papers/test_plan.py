"""What of a paper is run here, and what is told of the rest."""

import copy

import pytest

from cmr.papers.plan import Rehearsal, first_run, methods_run, study_of, views_run

PRINTED = {("wiki", "cnn"): ["cca", "joint_hrl", "ccl"], ("voc", "cnn"): ["cca"], ("wiki", "words"): ["alscor"]}
AS_PRINTED = {"dataset": "wiki", "splits": ["a-0", "a-1"], "image_view": "fc7", "text_view": "bow"}
SUBSTITUTE = {
    "dataset": "wiki",
    "splits": ["a-0", "a-1"],
    "image_view": "sift",
    "text_view": "lda",
    "instead": {"ccl": "ccl_coarse"},
    "differs": ["sift for fc7"],
}
PAPER = {
    "title": "A paper",
    "description": "Of no one.",
    "citation": "No one, never",
    "tolerance": 0.01,
    "seeds": [0],
    "also": ["random", "sm"],
    "ours": {"joint_hrl": "hrl_own"},
    "settings": {
        "wiki": {
            "of": {"dataset": "wiki", "features": "cnn"},
            "title": "Wiki",
            "also": ["hrl_paired"],
            "as_printed": AS_PRINTED,
            "substitutes": [SUBSTITUTE],
        },
        "wiki_words": {
            "of": {"dataset": "wiki", "features": "words"},
            "title": "Wiki, words",
            "substitutes": [
                {**AS_PRINTED, "views_of": {"alscor": {"text_view": "tokens"}}, "differs": ["other words"]}
            ],
        },
        "voc": {
            "of": {"dataset": "voc", "features": "cnn"},
            "title": "VOC",
            "as_printed": {"dataset": "voc", "splits": ["b"], "image_view": "fc7", "text_view": "tags"},
        },
    },
    "tables": {
        "table_1": {"kind": "published", "item": "Table 1", "rows": ["method"], "columns": ["task"], "caption": "."}
    },
    "figures": {
        "curves": {
            "kind": "precision_recall",
            "item": "Figure 1",
            "settings": ["wiki", "wiki_words"],
            "task": "img2txt",
            "caption": "Curves.",
        },
        "voc": {
            "kind": "map_bars",
            "item": "Figure 2",
            "settings": ["voc"],
            "metric": "map_all",
            "tasks": ["img2txt"],
            "caption": ".",
        },
    },
    "gallery": {
        "item": "Figure 3",
        "setting": "wiki",
        "methods": ["joint_hrl", "ccl"],
        "tasks": ["img2all"],
        "classes": ["train", "bicycle"],
        "results": 5,
        "seed": 0,
    },
}


def lacking(*views):
    """Runs with one of these views lack the file of that view."""
    return lambda run: [f"{view}_file" for view in views if view in run.values()]


def study(*views, paper=PAPER, rehearsal=None):
    return study_of("paper", paper, PRINTED, lacking(*views), lambda dataset: lacking(*views)({"": dataset}), rehearsal)


def runs_of(study):
    return {
        (dataset, split, image_view, text_view, method)
        for block in study["runs"]
        for dataset in block["datasets"]
        for split in block["splits"]
        for image_view in block["image_views"]
        for text_view in block["text_views"]
        for method in block["methods"]
    }


def test_with_all_files_everything_is_run_as_printed_and_nothing_stands_in():
    planned = study()
    alternatives = planned["paper"]["settings"]["wiki"]["alternatives"]
    assert [(one["image_view"], one["exact"]) for one in alternatives] == [("fc7", True)]
    wanted = {
        ("wiki", split, "fc7", "bow", method)
        for split in ("a-0", "a-1")
        for method in ("cca", "hrl_own", "ccl", "random", "sm", "hrl_paired")
    }
    wanted |= {("wiki", split, "fc7", "tokens", "alscor") for split in ("a-0", "a-1")}
    wanted |= {("voc", "b", "fc7", "tags", method) for method in ("cca", "random", "sm")}
    assert runs_of(planned) == wanted


def test_substitutes_stand_in_where_a_file_is_missing_with_the_methods_that_can_be_run_on_them():
    planned = study("bow")
    as_printed, substitute = planned["paper"]["settings"]["wiki"]["alternatives"]
    assert as_printed["missing"] == ["bow_file"]
    assert not substitute["missing"]
    assert not substitute["exact"]
    assert first_run(planned["paper"]["settings"]["wiki"]) is substitute
    of_wiki = {run[2:] for run in runs_of(planned) if run[2] == "sift"}
    assert of_wiki == {("sift", "lda", m) for m in ("cca", "hrl_own", "ccl_coarse", "random", "sm", "hrl_paired")}


def test_a_setting_is_run_with_all_of_its_methods_or_not_at_all():
    planned = study("tokens")
    setting = planned["paper"]["settings"]["wiki_words"]
    assert first_run(setting) is None
    assert setting["alternatives"][0]["missing"] == ["tokens_file"]
    assert not any(run[4] == "alscor" for run in runs_of(planned))


def test_methods_go_by_the_papers_name_and_stand_ins_replace_ours():
    setting = study("bow")["paper"]["settings"]["wiki"]
    assert methods_run(setting, setting["alternatives"][1]) == {
        "cca": "cca", "joint_hrl": "hrl_own", "ccl": "ccl_coarse", "random": "random", "sm": "sm",
        "hrl_paired": "hrl_paired",
    }  # fmt: skip
    words = study()["paper"]["settings"]["wiki_words"]["alternatives"][0]
    assert views_run(words, "alscor") == ("fc7", "tokens")
    assert views_run(words, "cca") == ("fc7", "bow")


def test_a_figure_of_several_settings_shows_each_method_on_its_views():
    figure = study()["figures"]["curves"]
    assert (figure["dataset"], figure["image_view"], figure["text_view"]) == ("wiki", "fc7", "bow")
    assert figure["methods"] == ["random", "cca", "hrl_own", "ccl", "alscor"]
    assert figure["views_of"] == {"alscor": {"image_view": "fc7", "text_view": "tokens"}}


def test_a_figure_tells_which_of_its_settings_is_missing_and_what_stands_in():
    figure = study("bow", "tokens")["figures"]["curves"]
    assert figure["methods"] == ["random", "cca", "hrl_own", "ccl_coarse"]
    assert figure["caption"] == (
        "Curves. Not run: Wiki, words, which needs tokens_file, bow_file. Not on the paper's features: sift for fc7."
    )


def test_a_figure_of_which_nothing_is_run_tells_what_it_needs():
    assert study("tags")["figures"]["voc"]["unavailable"] == "VOC needs tags_file"
    assert "unavailable" not in study()["figures"]["voc"]


def test_a_gallery_shows_the_named_classes_of_the_papers_data_and_is_left_out_where_nothing_is_run():
    whole = study()["gallery"]
    assert whole["methods"] == ["hrl_own", "ccl"]
    assert whole["classes"] == ["train", "bicycle"]
    nothing = study("bow", "lda")
    assert "gallery" not in nothing
    assert nothing["paper"]["left_out"]["gallery"]["item"] == "Figure 3"


REHEARSAL = Rehearsal("stamps", ["r-0", "r-1", "r-2"], "net", "tfidf", {"alscor": {"text_view": "tokens"}})


def test_a_rehearsal_runs_every_setting_on_the_one_data_set_with_as_many_splits_as_the_paper():
    planned = study("fc7", "bow", "tags", rehearsal=REHEARSAL)
    assert planned["paper"]["rehearsal"] == "stamps"
    assert {run[:4] for run in runs_of(planned) if run[4] != "alscor"} == {
        ("stamps", "r-0", "net", "tfidf"), ("stamps", "r-1", "net", "tfidf"),
    }  # fmt: skip
    assert {run[3] for run in runs_of(planned) if run[4] == "alscor"} == {"tokens"}
    assert planned["gallery"]["classes"] == 2  # the classes of stamps have other names
    assert all(not one["exact"] for setting in planned["paper"]["settings"].values() for one in setting["alternatives"])


def test_a_paper_of_which_nothing_can_be_run_has_no_runs():
    assert study("fc7", "lda", "bow")["runs"] == []


@pytest.mark.parametrize("views", [(), ("bow",), ("fc7", "lda")])
def test_planning_changes_nothing_of_the_papers_file(views):
    before = copy.deepcopy(PAPER)
    study(*views)
    study(*views, rehearsal=REHEARSAL)
    assert before == PAPER
