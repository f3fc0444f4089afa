"""The lock of a study: what it was made of and by, in one record that can be compared with what is here.

`what` determines the numbers, and is the same for every making of a study that ends the same: configuration, assets,
code, data, and the files that came out. `where` is told beside it, and may differ: versions, processors, threads.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmr.assets import check_asset
from cmr.assets.obtain import MANIFEST
from cmr.catalogue import Catalogue
from cmr.errors import UserError
from cmr.files import read_json
from cmr.provenance import file_sha256, fingerprint, machine, packages, versions
from cmr.results import RUN, Run, Study
from cmr.search.runs import files_of_run, name_of_view

NAME = "lock.json"
COLLECTED = ("results.csv", "curves.parquet", "history.parquet")
JUDGED = ("measured.csv", "verdicts.csv", "agreement.csv", "comparisons.csv", "claims.csv")
SCORED = ("metrics.parquet", "curves.parquet", "queries.parquet")
SETTINGS = ("mixed_precision", "compile")
CHOICES = ("candidates", "chosen", "scores", "sizes", "left_out", "featureless", "seeds")


def lock(catalogue: Catalogue, root: Path, study: str, code: Iterable[Path]) -> dict[str, Any]:
    """The record of a study whose collected results lie there.

    code : the files of the programs that made its numbers, relative to the checkout `root`.

    Raises UserError where runs have read different versions of a file, or a file is not what a run has made.
    """
    made = _Making.read(catalogue, root, study)
    what = {
        "config": made.config(),
        "runs": made.choices(),
        "assets": made.assets(),
        "code": {str(path): file_sha256(root / path) for path in sorted(code)},
        "files": made.files(),
    }
    facts = made.study.facts
    where = {
        "versions": facts["versions"],
        "packages": packages(),
        "commits": sorted({run["commit"] or "unknown" for run in facts["runs"]}),
        "devices": sorted({run["device"] for run in facts["runs"]}),
        "machines": facts["machines"],
    }
    return {"study": study, "fingerprint": fingerprint(**what), "what": what, "where": where}


@dataclass(frozen=True)
class Comparison:
    """A lock beside what is here.

    Attributes
    ----------
    compared : kind of thing -> how many were compared.
    differences : of what determines the numbers; a line each.
    remarks : other versions or another machine, which may round otherwise.
    """

    compared: dict[str, int]
    differences: list[str]
    remarks: list[str]


def compare(catalogue: Catalogue, root: Path, study: str) -> Comparison:
    """Read again all that the lock of a study names, and tell what is no longer so.

    Raises UserError where there is no lock, or it is damaged.
    """
    path = root / catalogue.config["results"] / "studies" / study / NAME
    if not path.exists():
        raise UserError(f"{path} does not exist: make it by `snakemake --cores 8 all --config studies=[{study}]`")
    told = read_json(path)
    what, where, places = told["what"], told["where"], _Places(catalogue, root)
    differences = [
        *_other_files({name: places.path(name) for name in what["files"]}, what["files"]),
        *_other_files({name: root / name for name in what["code"]}, what["code"]),
        *(line for name, asset in what["assets"].items() for line in _other_asset(places.raw / name, asset)),
    ]
    try:
        now = _Making.read(catalogue, root, study).config()
        differences += _other_values("configuration", what["config"], now)
    except UserError as error:
        differences.append(str(error))
    remarks = list(_other_values("version", {name: each[-1] for name, each in where["versions"].items()}, versions()))
    here = {key: value for key, value in machine().items() if key in ("system", "processor")}
    if not any(all(one.get(key) == value for key, value in here.items()) for one in where["machines"]):
        made_on = " and ".join(dict.fromkeys(f"{one['processor']}, {one['system']}" for one in where["machines"]))
        remarks.append(f"machine: it was {made_on}; this is {here['processor']}, {here['system']}")
    compared = {"files": len(what["files"]), "assets": len(what["assets"]), "modules": len(what["code"])}
    return Comparison(compared, differences, remarks)


@dataclass(frozen=True)
class _Places:
    """Where things lie: `data/...` and `results/...` name files of the two folders, wherever these are."""

    catalogue: Catalogue
    root: Path

    @property
    def data(self) -> Path:
        return self.root / self.catalogue.config["data"]

    @property
    def results(self) -> Path:
        return self.root / self.catalogue.config["results"]

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    def name(self, path: Path) -> str:
        for folder, name in ((self.data, "data"), (self.results, "results")):
            if path.is_relative_to(folder):
                return f"{name}/{path.relative_to(folder).as_posix()}"
        raise ValueError(f"{path} lies in neither folder")

    def path(self, name: str) -> Path:
        folder, _, rest = name.partition("/")
        return (self.data if folder == "data" else self.results) / rest


@dataclass(frozen=True)
class _Making:
    """A study, and from where its parts come."""

    catalogue: Catalogue
    places: _Places
    study: Study

    @classmethod
    def read(cls, catalogue: Catalogue, root: Path, study: str) -> "_Making":
        places = _Places(catalogue, root)
        return cls(catalogue, places, Study.read(places.results / "studies" / study))

    @property
    def runs(self) -> list[Run]:
        """All, whether or not their methods are applicable to the data."""
        facts = self.study.facts
        return [Run(*(run[key] for key in RUN)) for run in [*facts["runs"], *facts["not_applicable"]]]

    def config(self) -> dict[str, Any]:
        """All that the configuration says now of what the study is made of."""
        catalogue, runs = self.catalogue, self.runs
        views: dict[str, Any] = {}
        for run in runs:
            for modality in ("image", "text"):
                patches = catalogue.patches_of(vars(run), modality)
                for view in filter(None, (name_of_view(run, modality), patches)):
                    views[f"{run.dataset}/{modality}/{view}"] = self._view(run.dataset, modality, view)
        return {
            "study": catalogue.studies[self.study.facts["study"]],
            "methods": {method: catalogue.method(method) for method in sorted({run.method for run in runs})},
            "datasets": {name: catalogue.dataset(name) for name in sorted({run.dataset for run in runs})},
            "splits": {
                f"{dataset}/{split}": catalogue.split(dataset, split)
                for dataset, split in sorted({(run.dataset, run.split) for run in runs})
            },
            "views": views,
            "settings": {key: catalogue.config[key] for key in SETTINGS},
        }

    def _view(self, dataset: str, modality: str, view: str) -> Any:
        if self.catalogue.is_ready(dataset, modality, view):
            return self.catalogue.ready_view(dataset, modality, view)
        settings = self.catalogue.view(modality, view)
        parts = {part: self._view(dataset, modality, part) for part in settings.get("concatenate", ())}
        options = {} if parts else {"options": self.catalogue.view_options(dataset, modality, view)}
        return settings | options | ({"parts": parts} if parts else {})

    def choices(self) -> dict[str, Any]:
        """What each run has come to: its hyper-parameters, seeds and sizes, or why the method is not applicable."""
        facts = self.study.facts
        told = {
            run: {key: one[key] for key in CHOICES} for run, one in zip(self.study.runs, facts["runs"], strict=True)
        }
        told |= {Run(*(one[key] for key in RUN)): {"reason": one["reason"]} for one in facts["not_applicable"]}
        return {run.folder(Path()).as_posix(): told[run] for run in sorted(told)}

    def assets(self) -> dict[str, Any]:
        """Name -> digests of the outside files that the study's data, pictures and views come from."""
        names = sorted({asset for run in self.runs for asset in self.catalogue.assets_of_run(vars(run))})
        manifests = {name: read_json(self.places.raw / name / MANIFEST) for name in names}
        return {name: {key: one[key] for key in ("file", "sha256", "content")} for name, one in manifests.items()}

    def files(self) -> dict[str, str]:
        """File -> SHA-256: what each run read and made, and the collected and judged numbers."""
        folder, readers = self.study.folder, {}
        digests: dict[str, str] = {}
        for run in self.runs:
            own = run.folder(self.places.results / "runs")
            selection = read_json(own / "selection.json")
            read = files_of_run(self.catalogue, self.places.data, run)
            made = {"model": own / "model.h5", "embeddings": own / "embeddings.h5", "history": own / "history.parquet"}
            # Views are large, and have been read and digested by every run that learnt from them.
            for path, digest in [
                *((read[name], selection["inputs"][name]) for name in read),
                *((path, selection["outputs"][name]) for name, path in made.items()),
                *((own / name, file_sha256(own / name)) for name in SCORED),
            ]:
                name = self.places.name(path)
                if digests.setdefault(name, digest) != digest:
                    raise UserError(
                        f"{own} and {readers[name]} have read different versions of {path} (SHA-256 {digest[:12]}... "
                        f"and {digests[name][:12]}...): one of the two is outdated, or was copied here from elsewhere. "
                        "Delete both folders and run again"
                    )
                readers.setdefault(name, own)
        judged = [folder / name for name in JUDGED if (folder / name).exists()]
        for path in [*(folder / name for name in COLLECTED), *judged]:
            digests[self.places.name(path)] = file_sha256(path)
        for dataset in {run.dataset for run in self.runs}:
            images = self.places.data / "datasets" / dataset / "images.parquet"
            if images.exists():
                digests[self.places.name(images)] = file_sha256(images)
        return dict(sorted(digests.items()))


def _other_files(paths: Mapping[str, Path], told: Mapping[str, str]) -> Iterator[str]:
    with ThreadPoolExecutor() as pool:
        for name, digest in zip(paths, pool.map(_sha256_or_none, paths.values()), strict=True):
            if digest is None:
                yield f"{paths[name]} is missing"
            elif digest != told[name]:
                yield f"{paths[name]} has changed: SHA-256 {told[name][:12]}... in the lock, {digest[:12]}... now"


def _sha256_or_none(path: Path) -> str | None:
    return file_sha256(path) if path.is_file() else None


def _other_asset(folder: Path, told: Mapping[str, Any]) -> Iterator[str]:
    try:
        now = check_asset(folder)
    except UserError as error:
        yield str(error)
        return
    for key, value in told.items():
        if now[key] != value:
            yield f"asset {folder.name}: {key} is {now[key]}, and {value} in the lock"


def _other_values(name: str, told: Any, now: Any) -> Iterator[str]:
    """Each value that differs, by the way to it."""
    if isinstance(told, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*told, *now]):
            yield from _other_values(f"{name}: {key}", told.get(key), now.get(key))
    elif isinstance(told, (list, tuple)) and isinstance(now, (list, tuple)) and len(told) == len(now):
        for place, (one, other) in enumerate(zip(told, now, strict=True)):
            yield from _other_values(f"{name}: {place}", one, other)
    elif told != now:
        yield f"{name}: it was {told}, and is {now}"
