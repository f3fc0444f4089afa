"""All that a paper's file names exists, and it makes all that is to be made of the paper."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cmr.configuration import check_name
from cmr.errors import UserError
from cmr.papers.plan import VIEWS, methods_run, study_of, views_run

if TYPE_CHECKING:
    from cmr.catalogue import Catalogue

Settings = Mapping[str, Any]


def check_paper(catalogue: "Catalogue", name: str, artifacts: Iterable[Mapping[str, str]]) -> None:
    """Raises UserError naming what is unknown in config/papers/`name`.yaml, or left out of it.

    artifacts : rows of config/published/artifacts.csv.
    """
    where, paper = f"config/papers/{name}.yaml", catalogue.papers[name]
    if name in catalogue.studies:
        raise UserError(f"{where}: a file of config/studies has this name, too; rename that")
    items = [
        *paper["tables"].values(),
        *paper["figures"].values(),
        *(paper[key] for key in ("gallery",) if key in paper),
    ]
    for item in items:  # before planning, which looks them up
        for setting in [*item.get("settings", []), *(item[key] for key in ("setting",) if key in item)]:
            check_name(setting, paper["settings"], f"{where}: {item['item']}", "setting")
    planned = study_of(name, paper, catalogue.printed.get(name, {}), lambda run: [], lambda dataset: [])
    settings = planned["paper"]["settings"]
    artifacts = [row for row in artifacts if row["paper"] == name]
    items_of_paper = [row["item"] for row in artifacts]
    for key, setting in paper["settings"].items():
        whole = settings[key]
        if not whole["methods"]:
            of, printed = whole["of"], catalogue.printed.get(name, {})
            pairs = "; ".join(f"{dataset} with {features}" for dataset, features in printed) or "nothing"
            raise UserError(
                f"{where}: settings: {key}: of: config/published/results.csv has no number of {of['dataset']} with "
                f"{of['features']} features, but of {pairs}; name one of these, or the setting's `methods`"
            )
        for doubt in setting.get("no_target", []):
            at = f"{where}: settings: {key}: no_target"
            check_name(doubt["table"], items_of_paper, at, "item of config/published/artifacts.csv")
            for method in doubt["methods"]:
                check_name(method, whole["methods"], at, "method of the setting")
        named = [setting["as_printed"]] if "as_printed" in setting else []
        for alternative in [*named, *setting.get("substitutes", [])]:
            _check_alternative(
                catalogue, f"{where}: settings: {key}", whole, {"views_of": {}, "instead": {}, **alternative}
            )
    known = [*catalogue.methods, *(method for setting in settings.values() for method in setting["methods"])]
    for item in items:
        for method in item.get("methods", []):
            check_name(method, known, f"{where}: {item['item']}: methods", "method")
    made = {item["item"] for item in items}
    for row in artifacts:
        if row["regenerate"] == "yes" and row["item"] not in made:
            raise UserError(
                f'{where}: no table, figure or gallery has the item "{row["item"]}" of config/published/artifacts.csv'
            )


def _check_alternative(catalogue: "Catalogue", where: str, setting: Settings, alternative: Settings) -> None:
    dataset = alternative["dataset"]
    check_name(dataset, catalogue.datasets, where, "data set")
    for split in alternative["splits"]:
        check_name(split, catalogue.splits(dataset), where, f"split of {dataset}")
    for method in [*methods_run(setting, alternative).values(), *alternative["instead"]]:
        check_name(method, catalogue.methods, where, "method")
    for method in methods_run(setting, alternative).values():
        views = dict(zip(VIEWS, views_run(alternative, method), strict=True))
        for modality in ("image", "text"):
            known = [*catalogue.views_of(modality), *catalogue.dataset(dataset)["views"][modality]]
            check_name(views[f"{modality}_view"], known, where, f"{modality} view of {dataset}")
        try:
            catalogue.check_run({"dataset": dataset, "split": alternative["splits"][0], "method": method, **views})
        except UserError as error:
            raise UserError(f"{where}: {method} on {dataset}: {error}") from error
