"""Snakemake's own report carries what the studies have made, each with its caption and where it belongs."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import pytest


@pytest.fixture(scope="module")
def report(undisturbed, tmp_path_factory):
    """What the report's page is made of, by the name of its variable, and the bytes of each item by its path."""
    file = tmp_path_factory.mktemp("report") / "report.zip"
    run = undisturbed.snakemake("--report", str(file))
    assert run.returncode == 0, run.stdout
    with ZipFile(file) as files:
        (page,) = [name for name in files.namelist() if Path(name).name == "report.html" and "/data/" not in name]
        text = files.read(page).decode()
        told = {
            name: json.JSONDecoder().raw_decode(text, re.search(rf'var {name} = (?=[{{"])', text).end())[0]
            for name in ("results", "categories", "workflow_desc")
        }
        items = {path: files.read(str(Path(page).parent / item["data_uri"])) for path, item in told["results"].items()}
    return told, items


def test_every_page_table_and_figure_is_in_it_as_it_was_made(report, undisturbed):
    _, items = report
    root, studies = undisturbed.root, undisturbed.root / "results/studies/shapes"
    made = [undisturbed.root / "results/report/index.html", *studies.glob("*.html"), studies / "views.csv"]
    made += [*studies.glob("tables/*.csv"), *studies.glob("figures/*.svg")]
    assert len(made) > 10
    assert items == {str(path.relative_to(root)): path.read_bytes() for path in made}


def test_items_are_grouped_by_study_and_told_apart_by_their_labels(report):
    told, _ = report
    assert all(item["labels"] for item in told["results"].values())
    for group in told["categories"].values():
        for items in group.values():
            labels = [json.dumps(told["results"][path]["labels"], sort_keys=True) for path in items]
            assert len(set(labels)) == len(labels)


def test_every_item_has_its_own_caption(report):
    told, _ = report
    captions = {path: item["caption"] for path, item in told["results"].items()}
    figures = {Path(path).stem: caption for path, caption in captions.items() if "/figures/" in path}
    assert all(captions.values())
    assert "Texts retrieved by an image." in figures["precision_recall_img2txt"]
    assert "Images retrieved by a text." in figures["precision_recall_txt2img"]
    assert "HRL, given pairs: not cross-modal retrieval, and never best." in figures["map_bars"]
    assert "mean and 95 % interval" in captions["results/studies/shapes/tables/map_all.csv"]


def test_its_first_page_tells_where_to_start_and_leads_to_each_study(report):
    told, _ = report
    text = told["workflow_desc"]
    assert "Where to start" in text
    for name, group in told["categories"].items():
        assert f">{name}</a>: {sum(map(len, group.values()))}<" in text
    assert "show_panel" not in text  # links of an earlier version of Snakemake, which lead nowhere
    assert "system-message" not in text  # errors of markup
