"""Everything that the configuration names: assets, data sets, views, methods, studies; checked before anything runs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, Self

from jsonschema.protocols import Validator

from cmr.assets import Stock, mirror_folders
from cmr.configuration import StrictValidator, check, check_name, read_rows, read_yaml, unknown
from cmr.construct import METHODS, READERS, VIEWS, exists
from cmr.errors import UserError
from cmr.methods import FLOOR
from cmr.papers.checks import check_paper
from cmr.papers.plan import Rehearsal, study_of

Settings = dict[str, Any]


class Named(dict[str, Settings]):
    """Settings by name; an unknown name is a UserError that lists or suggests the known ones."""

    def __init__(self, kind: str, known: Mapping[str, Settings]) -> None:
        super().__init__(known)
        self.kind = kind

    def __missing__(self, name: str) -> Settings:
        raise unknown(name, self, "config", self.kind)


@dataclass(frozen=True)
class Catalogue:
    """The configuration folder of a checkout, by kind and name.

    Attributes
    ----------
    config : the effective `config/config.yaml`, command-line overrides included.
    assets, datasets, image_views, text_views, methods, papers : name -> settings.
    studies : name -> settings; those of papers too, as far as they can be run with the files that are to be had.
    vectorisation : `config/vectorisation.yaml`.
    stock : which assets are to be had.
    printed : paper -> (data set, features) -> methods of which it prints numbers, in its order.
    """

    config: Settings
    assets: Named
    datasets: Named
    image_views: Named
    text_views: Named
    methods: Named
    studies: Named
    papers: Named
    vectorisation: Settings
    stock: Stock
    printed: dict[str, dict[tuple[str, str], list[str]]]

    @classmethod
    def read(cls, root: Path, config: Mapping[str, Any] | None = None, raw: Path | None = None) -> Self:
        """Read and check `root`/config against `root`/workflow/schemas.

        `config` replaces the contents of config/config.yaml; `raw` is where assets lie, by default below `root`. Raises
        UserError naming the file and key that is wrong.
        """
        folder, schemas = root / "config", root / "workflow/schemas"

        @cache
        def schema_of(kind: str) -> Validator:
            return StrictValidator(read_yaml(schemas / f"{kind}.schema.yaml"))

        def read_one(path: Path, kind: str) -> Settings:
            value = read_yaml(path)
            check(value, schema_of(kind), str(path.relative_to(root)))
            return value

        def read_all(subfolder: str, kind: str) -> Named:
            paths = sorted((folder / subfolder).glob("*.yaml"))
            if strange := [path for path in paths if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", path.stem)]:
                raise UserError(
                    f"{strange[0]}: its name becomes a folder's: use letters, digits, _ and -, and begin with no -"
                )
            return Named(kind, {path.stem: read_one(path, kind) for path in paths})

        # Whoever gives another one has read the file too, perhaps less strictly.
        written = read_yaml(folder / "config.yaml")
        config = dict(config) if config is not None else written
        check(config, schema_of("config"), "configuration")
        assets = {path: read_one(path, "assets") for path in sorted((folder / "assets").glob("*.yaml"))}
        datasets = read_all("datasets", "dataset")
        own = {name: _own_folder(settings) for name, settings in datasets.items() if "folder" in settings}
        merged = _merged({**assets, folder / "datasets": own})
        catalogue = cls(
            config=config,
            assets=Named("asset", merged),
            datasets=datasets,
            image_views=Named("image view", read_one(folder / "views/image.yaml", "views")),
            text_views=Named("text view", read_one(folder / "views/text.yaml", "views")),
            methods=_with_variants(read_all("methods", "method")),
            studies=read_all("studies", "study"),
            papers=read_all("papers", "paper"),
            vectorisation=read_one(folder / "vectorisation.yaml", "vectorisation"),
            stock=Stock(
                merged,
                mirror_folders(config["mirrors"]),
                raw or root / config["data"] / "raw",
                config["downloads"],
                frozenset(config["without"]),
            ),
            printed=_printed_methods(folder / "published/results.csv"),
        )
        catalogue._check_references()
        for name in catalogue.papers:
            check_paper(catalogue, name, read_rows(folder / "published/artifacts.csv"))
            read_one(folder / f"claims/{name}.yaml", "claims")
            catalogue.studies.update(catalogue._studies_of_paper(name))
        return catalogue

    @property
    def wanted_studies(self) -> list[str]:
        """The studies of the configuration; where papers are rehearsed, by the names of their rehearsals."""
        on = self.config["substitute"]
        return [f"{name}-on-{on}" if on and name in self.papers else name for name in self.config["studies"]]

    def missing(self, run: Mapping[str, str]) -> list[str]:
        """Assets, or places in them, that a run needs and that are not to be had here."""
        dataset, places = self.dataset(run["dataset"]), []
        for modality, side in (("image", "images"), ("text", "texts")):
            view = run[f"{modality}_view"]
            ready = dataset["views"][modality].get(view)
            places += [ready["look_for"]] if ready and "look_for" in ready else []
            places += [dataset["look_for"][side]] if not ready and side in dataset["look_for"] else []
        lacking = sorted(asset for asset in self.assets_of_run(run) if self.stock.lacks(asset))
        return lacking + [place[0] for place in places if self.stock.copy_lacks(place)]

    def missing_texts(self, dataset: str) -> list[str]:
        """Assets, or places in them, that the texts of a data set need and that are not to be had here."""
        settings = self.dataset(dataset)
        places = settings["look_for"].get("texts", [])
        lacking = [asset for asset in settings["reads"] if self.stock.lacks(asset)]
        return lacking + (places[:1] if places and self.stock.copy_lacks(places) else [])

    def assets_of_run(self, run: Mapping[str, str]) -> set[str]:
        """Assets that a run learns from, by way of its pairs and views."""
        dataset = self.dataset(run["dataset"])
        assets = set(dataset["reads"])
        for modality in ("image", "text"):
            view = run[f"{modality}_view"]
            ready = dataset["views"][modality].get(view)
            assets |= set(ready["reads"]) if ready else self.assets_of_view(modality, view)
            if patches := self.patches_of(run, modality):
                assets |= self.assets_of_view(modality, patches)
        return assets | set(dataset["images"]) if self.looks_at_pictures(run) else assets

    def looks_at_pictures(self, run: Mapping[str, str]) -> bool:
        return not self.is_ready(run["dataset"], "image", run["image_view"])

    def method(self, name: str) -> Settings:
        """Settings of a method with the configuration's overrides applied.

        Adds `fixed` (hyper-parameter -> value) and `grid` (hyper-parameter -> candidates). An override that is a list
        of values gives candidates, any other is fixed. A title may name values, as in `SePH, {bits} bits`.
        """
        settings = self.methods[name]
        overrides = self.config["methods"].get(name, {})
        fixed, grid = {}, {}
        for key, schema in settings["hyperparameters"].items():
            value = overrides.get(key, schema.get("grid", schema["default"]))
            (grid if _are_candidates(value, schema) else fixed)[key] = value
        values = fixed | {key: " or ".join(map(str, candidates)) for key, candidates in grid.items()}
        return settings | {"fixed": fixed, "grid": grid, "title": settings["title"].format_map(values)}

    def dataset(self, name: str) -> Settings:
        """Settings of a data set, everything that they may leave out filled in."""
        settings = self.datasets[name]
        reads = settings.get("reads", [name])
        views = {
            modality: {
                view: {"reads": reads, "options": {}, "counts": False, **ready}
                | ({"look_for": _listed(ready["look_for"])} if "look_for" in ready else {})
                for view, ready in settings.get("views", {}).get(modality, {}).items()
            }
            for modality in ("image", "text")
        }
        defaults = {"options": {}, "images": reads, "look_for": {}, "expected": {}}
        defaults |= {"on_bad_item": "stop", "tokenizer": "english"}
        look_for = {side: _listed(place) for side, place in settings.get("look_for", {}).items()}
        return {**defaults, **settings, "reads": reads, "views": views, "look_for": look_for}

    def ready_view(self, dataset: str, modality: str, view: str) -> Settings:
        """Settings of features that a data set comes with; an unknown name is a UserError."""
        return Named(f"ready {modality} view of {dataset}", self.dataset(dataset)["views"][modality])[view]

    def is_ready(self, dataset: str, modality: str, view: str) -> bool:
        """Whether the data set comes with this view; any other is computed."""
        return view in self.dataset(dataset)["views"][modality]

    def views_of(self, modality: str) -> Named:
        """All computed views of a modality."""
        return dict(self._computed_views())[modality]

    def view(self, modality: str, name: str) -> Settings:
        """Settings of a computed view, everything that they may leave out filled in; an unknown name is a UserError.

        A view that is others side by side is learnt if one of them is.
        """
        defaults = {"options": {}, "assets": {}, "learnt": False, "uses_torch": False, "kind": "vectors"}
        settings = {**defaults, **self.views_of(modality)[name]}
        learnt = [self.view(modality, part)["learnt"] for part in settings.get("concatenate", [])]
        return {**settings, "learnt": settings["learnt"] or any(learnt)}

    def view_options(self, dataset: str, modality: str, name: str) -> Settings:
        """A computed view's options on a data set, which says how its texts are tokenized, unless the view does."""
        tokenizer = {"tokenizer": self.dataset(dataset)["tokenizer"]} if modality == "text" else {}
        return {**tokenizer, **self.view(modality, name)["options"]}

    def view_path(self, dataset: str, split: str | None, modality: str, name: str) -> str:
        """Where a computed view lies below the data folder: what learns, in its split's folder."""
        basis = f"{split}/" if self.view(modality, name)["learnt"] else ""
        return f"views/{dataset}/{basis}{modality}/{name}.h5"

    def kind_of_view(self, dataset: str, modality: str, name: str) -> str:
        """What the values of a view are; those that a data set comes with are vectors."""
        return "vectors" if self.is_ready(dataset, modality, name) else self.view(modality, name)["kind"]

    def patches_of(self, run: Mapping[str, str], modality: str) -> str | None:
        """The view of the parts of images or texts that a run learns from too; None where its method has no use for it.

        Raises UserError where the run's view has none.
        """
        if not self.methods[run["method"]].get("patches", False):
            return None
        name = run[f"{modality}_view"]
        ready = self.is_ready(run["dataset"], modality, name)
        patches = None if ready else self.view(modality, name).get("patches")
        if patches is None:
            having = [view for view, settings in self.views_of(modality).items() if "patches" in settings]
            raise UserError(
                f'{run["method"]} learns from the parts of items too, but the {modality} view "{name}" names no '
                f"`patches`: take the method out of the run, or choose another view ({', '.join(having) or 'none has'})"
            )
        return patches

    def check_run(self, run: Mapping[str, str]) -> None:
        """Refuse a run whose method does not take what its views hold, or looks at parts that they do not have."""
        for modality in ("image", "text"):
            takes = self.methods[run["method"]].get(f"{modality}_kinds", ["vectors"])
            kind = self.kind_of_view(run["dataset"], modality, run[f"{modality}_view"])
            if kind not in takes:
                raise UserError(
                    f'the {modality} view "{run[f"{modality}_view"]}" holds {kind}, but {run["method"]} takes '
                    f"{' or '.join(takes)}: choose another view"
                )
            self.patches_of(run, modality)

    def assets_of_view(self, modality: str, name: str) -> set[str]:
        """Assets that a computed view needs, its parts' included."""
        settings = self.view(modality, name)
        parts = [self.assets_of_view(modality, part) for part in settings.get("concatenate", [])]
        return set(settings["assets"].values()).union(*parts)

    def split(self, dataset: str, name: str) -> Settings:
        """How a named split is made: `protocol`, as in the data set's config, and `seed`."""
        check_name(name, self.splits(dataset), f"config/datasets/{dataset}.yaml", "split")
        kind, _, number = name.partition("-")
        protocol = self.datasets[dataset]["splits"][kind]
        return {"protocol": {key: protocol[key] for key in protocol if key != "repeats"}, "seed": int(number or 0)}

    def splits(self, dataset: str) -> list[str]:
        """Names of all splits of a data set."""
        return [
            name
            for kind, settings in self.datasets[dataset]["splits"].items()
            for name in ([f"{kind}-{k}" for k in range(settings["repeats"])] if "repeats" in settings else [kind])
        ]

    def runs(self, study: str) -> list[dict[str, str]]:
        """The runs that a study names, each once: dataset, split, image_view, text_view, method."""
        runs = [
            {"dataset": dataset, "split": split, "image_view": image_view, "text_view": text_view, "method": method}
            for block in self.studies[study]["runs"]
            for dataset in block["datasets"]
            for split in block["splits"]
            for image_view in block["image_views"]
            for text_view in block["text_views"]
            for method in block["methods"]
        ]
        return list({tuple(run.values()): run for run in runs}.values())

    def view_comparison(self, study: str) -> Settings:
        """A study's comparison of views, with `splits` filled in: by default all that have every combination.

        Raises UserError naming the first run that the study lacks.
        """
        spec, runs = self.studies[study]["view_comparison"], self.runs(study)
        present = {run_name(run) for run in runs}
        splits = spec.get("splits", list(dict.fromkeys(r["split"] for r in runs if r["dataset"] == spec["dataset"])))
        lacking = {
            split: [run for run in map(run_name, compared_runs(spec, split)) if run not in present] for split in splits
        }
        complete = [split for split in splits if not lacking[split]]
        if not complete or ("splits" in spec and len(complete) < len(splits)):
            first = min((missing for missing in lacking.values() if missing), key=len)[0]
            raise UserError(
                f"config/studies/{study}.yaml: view_comparison: {first} is no run of the study; add it to runs, "
                "or take its split, view or method out of the comparison"
            )
        return {**spec, "splits": complete}

    def seeds(self, run: Mapping[str, str]) -> list[int]:
        """Seeds of a run: all that any study of the configuration folder asks for, so that studies share it."""
        seeds = {
            seed
            for study in self.studies.values()
            for block in study["runs"]
            if all(run[name] in block[f"{name}s"] for name in ("dataset", "split", "image_view", "text_view", "method"))
            for seed in block["seeds"]
        }
        return sorted(seeds) or [0]

    def vectoriser(self, name: str) -> Settings:
        """Settings of a vectoriser of the study of vectorisers, `assets` filled in; an unknown name is a UserError."""
        return {"assets": {}, **Named("vectoriser", self.vectorisation["vectorisers"])[name]}

    def vectorised_split(self, dataset: str) -> str:
        """The split from whose train part the study of vectorisers learns; an unknown data set is a UserError."""
        return Named("data set of vectorisation.yaml", self.vectorisation["datasets"])[dataset]["split"]

    def _computed_views(self) -> tuple[tuple[str, Named], ...]:
        return ("image", self.image_views), ("text", self.text_views)

    def _check_dataset(self, name: str) -> None:
        where, settings = f"config/datasets/{name}.yaml", self.dataset(name)
        ready = [view for views in settings["views"].values() for view in views.values()]
        named = [("reads", settings["reads"]), ("images", settings["images"])]
        places = [*settings["look_for"].values(), *(view["look_for"] for view in ready if "look_for" in view)]
        places = [place for listed in places for place in listed]
        named += [("look_for", [place.partition("/")[0] for place in places])]
        named += [("views: reads", view["reads"]) for view in ready]
        for key, assets in named:
            for asset in assets:
                check_name(asset, self.assets, f"{where}: {key}", "asset")
        for reader in (settings["reader"], *(view["reader"] for view in ready)):
            if not _may_be_loaded(reader, READERS, where):
                raise UserError(f'{where}: there is no reader "{reader}"; it is a function\'s dotted name')
        for options in (settings["options"], *(view["options"] for view in ready)):
            _check_inside(options, f"{where}: options")
        for modality, computed in self._computed_views():
            for view in settings["views"][modality]:
                if view in computed:
                    raise UserError(
                        f'{where}: views: {modality}: "{view}" is also a computed view; choose another name'
                    )
        for kind, split in settings["splits"].items():
            sizes = split.get("sizes", split.get("per_class"))
            given = ["valid_from_train" in split, "valid_from_test" in split, sizes is not None and "valid" in sizes]
            if sum(given) > 1 or (sizes is not None and not any(given)):
                raise UserError(
                    f"{where}: splits: {kind}: give one of a size of valid, valid_from_train, valid_from_test"
                )

    def _check_view(self, modality: str, name: str, settings: Settings) -> None:
        where = f"config/views/{modality}.yaml: {name}"
        for asset in settings.get("assets", {}).values():
            check_name(asset, self.assets, f"{where}: assets", "asset")
        if patches := settings.get("patches"):
            check_name(patches, self.views_of(modality), f"{where}: patches", f"{modality} view")
            if (kind := self.view(modality, patches)["kind"]) != "patches":
                raise UserError(f'{where}: patches: "{patches}" holds {kind}, but patches are needed')
        for part in settings.get("concatenate", []):
            check_name(part, self.views_of(modality), f"{where}: concatenate", f"{modality} view")
            if "concatenate" in self.views_of(modality)[part]:
                raise UserError(f'{where}: concatenate: "{part}" is itself made of others: name those')
        if implementation := settings.get("implementation"):
            _check_class(implementation, VIEWS, where)
        for named in (settings.get("options", {}).get(key, "") for key in ("architecture", "implementation")):
            if "." in str(named):
                _check_class(str(named), VIEWS, f"{where}: options")

    def _shown(self, study: str, item: Settings) -> list[dict[str, str]]:
        """The runs on the views of a table or figure, each method's on those that the study's `setting` gives it."""
        setting = self.studies[study].get("setting", {})
        wanted = {**setting, **item}
        return [
            run
            for run in self.runs(study)
            for own in [{**wanted, **setting.get("views_of", {}).get(run["method"], {})}]
            if all(run[key] == own.get(key, run[key]) for key in ("dataset", "image_view", "text_view"))
        ]

    def _check_item(self, study: str, where: str, item: Settings) -> None:
        """A table or figure names what the study has, and one data set with one pair of views, if there are several.

        What it does not name may stand in the study's `setting`.
        """
        runs, shown, given = self.runs(study), self._shown(study, item), self.studies[study].get("setting", {})
        _check_names({**given, **item}, runs, where)
        for method in item.get("methods", []):
            _check_names({"method": method}, shown, where)
        keys, views_of = ("dataset", "image_view", "text_view"), given.get("views_of", {})
        settings = {tuple(run[key] for key in keys) for run in shown if run["method"] not in views_of}
        if len(settings) != 1 and item.get("kind") != "dataset_statistics":
            found = "; ".join(" ".join(setting) for setting in sorted(settings)) or "none"
            raise UserError(f"{where}: name {', '.join(keys)} so that exactly one setting fits; there are: {found}")

    def _check_all_shown(self, study: str) -> None:
        """Where something shows all methods, none is left out unawares, being run on other views than those shown."""
        settings, runs = self.studies[study], self.runs(study)
        items = [*settings["tables"].values(), *settings["figures"].values()]
        items = [item for item in items if item.get("kind") != "dataset_statistics"]
        seen = {
            run["method"]
            for item in items
            for run in self._shown(study, item)
            if run["method"] in item.get("methods", [run["method"]])
        }
        seen |= {*settings.get("view_comparison", {}).get("methods", [])}
        unseen = [method for method in dict.fromkeys(run["method"] for run in runs) if method not in seen]
        if unseen and any("methods" not in item for item in items):
            raise UserError(
                f"config/studies/{study}.yaml: no table or figure shows {', '.join(unseen)}, run on other views than "
                "they show: name these views under setting: views_of"
            )

    def _check_view_comparison(self, study: str) -> None:
        """A comparison of views names what the study has, and the floor was run on its splits."""
        where, spec = f"config/studies/{study}.yaml: view_comparison", self.studies[study]["view_comparison"]
        runs = [run for run in self.runs(study) if run["dataset"] == spec["dataset"]]
        _check_names({"dataset": spec["dataset"]}, self.runs(study), where)
        for key in ("image_view", "text_view", "method", "split"):
            for name in spec.get(f"{key}s", []):
                _check_names({key: name}, runs, where)
        if FLOOR in spec["methods"]:
            raise UserError(f'{where}: methods: leave out "{FLOOR}": the page names its score beside all others')
        for method in spec["methods"]:
            reasons = {
                "it sees pairs, which is not cross-modal retrieval": self.methods[method].get("sees_pairs", False),
                "it chooses by the test part": self.methods[method].get("selects_on") == "test",
            }
            for reason in [reason for reason, holds in reasons.items() if holds]:
                raise UserError(f'{where}: methods: leave out "{method}": {reason}, and the page names the best of all')
        floors = {run["split"] for run in runs if run["method"] == FLOOR}
        for split in self.view_comparison(study)["splits"]:
            if split not in floors:
                raise UserError(f"{where}: {split} has no run of {FLOOR}, whose score is the floor; add one to runs")

    def _check_vectorisation(self) -> None:
        where, settings = "config/vectorisation.yaml", self.vectorisation
        for dataset, learnt_from in settings["datasets"].items():
            check_name(dataset, self.datasets, f"{where}: datasets", "data set")
            check_name(
                learnt_from["split"], self.splits(dataset), f"{where}: datasets: {dataset}", f"split of {dataset}"
            )
        for dataset in settings["run"]:
            check_name(dataset, settings["datasets"], f"{where}: run", "data set")
        for name, vectoriser in settings["vectorisers"].items():
            _check_class(vectoriser["implementation"], VIEWS, f"{where}: vectorisers: {name}")
            for asset in self.vectoriser(name)["assets"].values():
                check_name(asset, self.assets, f"{where}: vectorisers: {name}: assets", "asset")
        for name in settings["claimed"]:
            check_name(name, settings["vectorisers"], f"{where}: claimed", "vectoriser")
        if len(settings["claimed"]) == len(settings["vectorisers"]):
            raise UserError(f"{where}: claimed: leave out at least one vectoriser, with which the others are compared")

    def check_values(self, method: str, values: Mapping[str, Any], where: str) -> None:
        """Refuse values, or lists of candidates, that hyper-parameters of a method may not have; names the first."""
        settings = self.methods[method]
        for key, value in values.items():
            check_name(key, settings["hyperparameters"], where, "hyper-parameter")
            if key in settings.get("variant_values", {}):
                raise UserError(
                    f"{where}: {key} makes the variant what it is; set it of {settings['variant_of']} instead"
                )
            schema = settings["hyperparameters"][key]
            for one in value if _are_candidates(value, schema) else [value]:
                check(one, StrictValidator(schema), f"{where}: {key}")
                self._check_unreserved(method, key, one, f"{where}: {key}")

    def _check_unreserved(self, method: str, key: str, value: Any, where: str) -> None:
        """Refuse a value of a hyper-parameter that variants alone may have."""
        if value in self.methods[method]["hyperparameters"][key].get("by_name", []):
            having = [name for name, one in self.methods.items() if one.get("variant_values", {}).get(key) == value]
            raise UserError(
                f"{where}: {value} is not to be had by a setting: name a method that stands for it "
                f"({', '.join(having) or 'there is none'}) in the runs of a study"
            )

    def _studies_of_paper(self, name: str) -> dict[str, Settings]:
        """The study of a paper, and where the configuration names a substitute, its rehearsal on that data set."""
        given = (name, self.papers[name], self.printed.get(name, {}))
        studies = {name: study_of(*given, self.missing, self.missing_texts)}
        if on := self.config["substitute"]:
            rehearsal = Rehearsal(on, self.splits(on), **self.datasets[on]["rehearsal"])
            studies[f"{name}-on-{on}"] = study_of(*given, self.missing, self.missing_texts, rehearsal)
        for study in studies.values():
            settings = study["paper"]["settings"].values()
            ours = {method for setting in settings for method in [*setting["methods"].values(), *setting["also"]]}
            ours |= {
                method for setting in settings for one in setting["alternatives"] for method in one["instead"].values()
            }
            study["paper"]["titles"] = {
                "methods": {method: self.method(method)["title"] for method in sorted(ours)},
                "datasets": {
                    dataset: self.datasets[dataset]["title"]
                    for dataset in sorted({setting["of"]["dataset"] for setting in settings})
                    if dataset in self.datasets
                },
            }
        return studies

    def _check_references(self) -> None:
        for name in self.config["studies"]:
            check_name(name, [*self.studies, *self.papers], "configuration: studies", "study")
        for name in self.config["without"]:
            check_name(name, self.assets, "configuration: without", "asset")
        if on := self.config["substitute"]:
            check_name(on, self.datasets, "configuration: substitute", "data set")
            if "rehearsal" not in self.datasets[on]:
                able = [name for name, settings in self.datasets.items() if "rehearsal" in settings]
                raise UserError(
                    f"configuration: substitute: {on} has no `rehearsal`, the views to run it on; name a data set that "
                    f"has one ({', '.join(able)}), or give it one in config/datasets/{on}.yaml"
                )
        for name in self.config["shards"]:
            check_name(name, self.datasets, "configuration: shards", "data set")
        for name, overrides in self.config["methods"].items():
            check_name(name, self.methods, "configuration: methods", "method")
            self.check_values(name, overrides, f"configuration: methods: {name}")
        for name, settings in self.methods.items():
            _check_class(settings["implementation"], METHODS, f"config/methods/{name}.yaml: implementation")
            try:
                self.method(name)
            except (KeyError, IndexError, ValueError) as error:
                raise UserError(f"config/methods/{name}.yaml: title: {error} is no hyper-parameter") from error
            for key, schema in settings["hyperparameters"].items():
                for value in (schema["default"], *schema.get("grid", [])):
                    where = f"config/methods/{name}.yaml: hyperparameters: {key}"
                    check(value, StrictValidator(schema), where)
                    if key not in settings.get("variant_values", {}):
                        self._check_unreserved(name, key, value, where)
        for name in self.datasets:
            self._check_dataset(name)
        for modality, views in self._computed_views():
            for name, settings in views.items():
                self._check_view(modality, name, settings)
        self._check_vectorisation()
        for name, study in self.studies.items():
            where = f"config/studies/{name}.yaml: runs"
            for block in study["runs"]:
                for key, known in (("dataset", self.datasets), ("method", self.methods)):
                    for item in block[f"{key}s"]:
                        check_name(item, known, where, key)
                for dataset in block["datasets"]:
                    for split in block["splits"]:
                        check_name(split, self.splits(dataset), where, f"split of {dataset}")
                    for modality, known in self._computed_views():
                        ready = self.dataset(dataset)["views"][modality]
                        for view in block[f"{modality}_views"]:
                            check_name(view, [*known, *ready], where, f"{modality} view of {dataset}")
            for run in self.runs(name):
                try:
                    self.check_run(run)
                except UserError as error:
                    raise UserError(f"{where}: {run_name(run)}: {error}") from error
            setting, where = study.get("setting", {}), f"config/studies/{name}.yaml: setting"
            _check_names(setting, self.runs(name), where)
            for method, views in setting.get("views_of", {}).items():
                _check_names({"method": method}, self.runs(name), f"{where}: views_of")
                own = [run for run in self.runs(name) if run["method"] == method]
                _check_names(views, own, f"{where}: views_of: {method}")
            for kind in ("tables", "figures"):
                for item, spec in study[kind].items():
                    self._check_item(name, f"config/studies/{name}.yaml: {kind}: {item}", spec)
            self._check_all_shown(name)
            if "view_comparison" in study:
                self._check_view_comparison(name)
            if gallery := study.get("gallery"):
                known = [run_name(run) for run in self.runs(name)]
                for method in gallery["methods"] if "methods" in gallery else [gallery["method"]]:
                    run = run_name({**gallery, "method": method})
                    check_name(run, known, f"config/studies/{name}.yaml: gallery", "run of the study")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _printed_methods(path: Path) -> dict[str, dict[tuple[str, str], list[str]]]:
    """Paper -> (data set, features) -> methods, in the order of the file."""
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for row in read_rows(path):
        methods = found.setdefault(row["paper"], {}).setdefault((row["dataset"], row["features"]), [])
        if row["method"] not in methods:
            methods.append(row["method"])
    return found


def _check_inside(value: Any, where: str) -> None:
    """Refuse an option of a reader that, as a path in its asset, would lead out of it."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_inside(item, where)
    elif isinstance(value, str) and (value.startswith("/") or ".." in PurePosixPath(value).parts):
        raise UserError(f'{where}: "{value}" leads out of the asset: name what lies in it')


def _check_class(name: str, home: str, where: str) -> None:
    if not _may_be_loaded(name, home, where):
        raise UserError(f'{where}: there is no class "{name}"; give its dotted name')


def _may_be_loaded(name: str, home: str, where: str) -> bool:
    """Whether the module of a dotted name is there; one that must not be named is refused, telling `where`."""
    try:
        return exists(name, home)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _merged(files: Mapping[Path, Mapping[str, Settings]]) -> Settings:
    """The entries of several files; a name that two of them use is refused."""
    merged: Settings = {}
    for path, entries in files.items():
        if twice := sorted(merged.keys() & entries.keys()):
            raise UserError(f'{path}: the asset "{twice[0]}" has the name of another; choose another name')
        merged |= entries
    return merged


def _with_variants(methods: Named) -> Named:
    """Each method followed by its variants: methods too, with a value or a grid of their own for some hyper-parameters.

    Those are their `variant_values`: what makes them what they are.
    """
    entries: Settings = {}
    for name, settings in methods.items():
        entries[name] = {key: value for key, value in settings.items() if key != "variants"}
        for suffix, variant in settings.get("variants", {}).items():
            where, own = f"config/methods/{name}.yaml: variants: {suffix}", f"{name}_{suffix}"
            if own in methods or own in entries:
                raise UserError(f'{where}: "{own}" is also the name of a method; choose another suffix')
            schemas = dict(settings["hyperparameters"])
            values, grids = variant.get("values", {}), variant.get("grids", {})
            if both := sorted(values.keys() & grids.keys()):
                raise UserError(f"{where}: {both[0]} is given a value and a grid; give one of them")
            for key, candidates in {**{key: [value] for key, value in values.items()}, **grids}.items():
                check_name(key, schemas, where, "hyper-parameter")
                for value in candidates:
                    check(value, StrictValidator(schemas[key]), f"{where}: {key}")
                ungridded = {part: rest for part, rest in schemas[key].items() if part != "grid"}
                schemas[key] = ungridded | ({"grid": candidates} if key in grids else {"default": values[key]})
            described = {key: value for key, value in variant.items() if key not in ("values", "grids")}
            own_values = {"variant_of": name, "variant_values": values | grids}
            entries[own] = {**entries[name], **described, "hyperparameters": schemas, **own_values}
    return Named("method", entries)


def _own_folder(dataset: Settings) -> Settings:
    """The asset that a user's own folder is."""
    return {"description": dataset["title"], "licence": dataset["licence"], "local": dataset["folder"]}


def run_name(run: Mapping[str, Any]) -> str:
    """A run's path below results/runs."""
    return f"{run['dataset']}/{run['split']}/{run['image_view']}+{run['text_view']}/{run['method']}"


def compared_runs(spec: Settings, split: str) -> list[dict[str, str]]:
    """The runs on one split that a comparison of views is about."""
    keys = ("image_view", "text_view", "method")
    return [
        {"dataset": spec["dataset"], "split": split, **dict(zip(keys, names, strict=True))}
        for names in product(spec["image_views"], spec["text_views"], spec["methods"])
    ]


def _are_candidates(value: Any, schema: Settings) -> bool:
    """Whether a hyper-parameter is given as a list of values to try: of one that is itself a list, a list of lists."""
    depth = 2 if schema["type"] == "array" else 1
    for _ in range(depth):
        if not isinstance(value, list) or not value:
            return False
        value = value[0]
    return True


def _check_names(item: Mapping[str, Any], runs: Iterable[Mapping[str, str]], where: str) -> None:
    """What an item names of a run is that of some run of the study."""
    for key in ("dataset", "split", "image_view", "text_view", "method"):
        if key in item:
            check_name(item[key], sorted({run[key] for run in runs}), where, f"{key.replace('_', ' ')} of the study")
