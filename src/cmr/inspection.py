"""What a cached view is, and whether it would be made otherwise today."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cmr.assets.obtain import MANIFEST
from cmr.catalogue import Catalogue, Settings
from cmr.errors import UserError
from cmr.files import read_json
from cmr.provenance import file_sha256, versions
from cmr.store import ViewFile, group, read_arrays

LONGEST = 100  # characters of an option's value


@dataclass(frozen=True)
class Place:
    """Where a view lies among the data, which tells what it is.

    Attributes
    ----------
    data : the data folder.
    split : None for a view that does not learn.
    ready : the data set comes with it.
    """

    data: Path
    dataset: str
    split: str | None
    modality: str
    view: str
    ready: bool = False

    @classmethod
    def of(cls, path: Path) -> "Place | None":
        """None for a file that lies elsewhere; a shard is in the place of its view."""
        view = re.sub(r"\.\d+-of-\d+$", "", path.stem)
        match path.resolve().parent.parts:
            case [*data, "datasets", dataset, "views", ("image" | "text") as modality]:
                return cls(Path(*data), dataset, None, modality, view, ready=True)
            case [*data, "views", dataset, split, ("image" | "text") as modality]:
                return cls(Path(*data), dataset, split, modality, view)
            case [*data, "views", dataset, ("image" | "text") as modality]:
                return cls(Path(*data), dataset, None, modality, view)
        return None


def inspect_view(catalogue: Catalogue, path: Path) -> str:
    """Shape, sparsity, norms, provenance and state of a view, for a reader.

    Raises UserError when the file is missing, damaged or no view.
    """
    with ViewFile.open(path) as view:
        about, arrays = view.attributes, view.arrays()
        lines = [str(path), *_numbers(view, path), *_provenance(about, arrays)]
    place = Place.of(path)
    if place is None:
        lines.append("it lies outside a data folder, so that its inputs cannot be found")
    else:
        reasons = [f"stale: {reason}" for reason in dict.fromkeys(staleness(catalogue, place, about))]
        lines += reasons or ["up to date with its inputs, the configuration and the code"]
    installed = versions()
    changed = [
        f"{name} {old} (now {installed.get(name)})"
        for name, old in about["versions"].items()
        if installed.get(name) != old
    ]
    lines += [f"made by other versions: {', '.join(changed)}"] if changed else []
    return "\n    ".join(lines)


def staleness(catalogue: Catalogue, place: Place, about: Mapping[str, Any]) -> Iterator[str]:
    """Reasons why the workflow would make a view anew, `about` being its attributes; those of its parts are its own."""
    try:
        expected = _expected(catalogue, place)
    except UserError as error:
        yield str(error)
        return
    for key, value in expected.items():
        if (was := _made_with(about, key)) != value:
            yield f"{key}: it was made with {_short(was)}, the configuration says {_short(value)}"
    for name, digest in about["inputs"].items():
        file = _input_file(catalogue, place, name)
        if not file.exists():
            yield f"{file} is missing"
        elif file_sha256(file) != digest:
            yield f"{file} has changed"
        elif name == "fitted":
            fitted = read_arrays(file, [])[1] | {"precision": about["precision"]}
            yield from staleness(catalogue, place, fitted)
        elif name not in ("pairs", "images", "split"):
            with ViewFile.open(file) as part:
                yield from staleness(catalogue, replace(place, view=name), part.attributes)
    for asset in about.get("assets", {}).values():
        manifest = place.data / "raw" / asset["asset"] / MANIFEST
        if not manifest.exists():
            yield f"the asset {asset['asset']} is missing"
        elif read_json(manifest)["sha256"] != asset["sha256"]:
            yield f"the asset {asset['asset']} has changed"
    for module, digest in about["code"].items():
        source = _source_of(module)
        if source is None or file_sha256(source) != digest:
            yield f"the code of {module} has changed"


def _expected(catalogue: Catalogue, place: Place) -> Settings:
    """What the configuration says of a view: its attributes, the names of its assets, the order of its parts."""
    if place.ready:
        settings = catalogue.ready_view(place.dataset, place.modality, place.view)
        return {"reader": settings["reader"], "options": settings["options"], "counts": settings["counts"]}
    settings = catalogue.view(place.modality, place.view)
    if place.split is None and settings["learnt"]:
        raise UserError(f"it belongs into another folder: {place.view} learns")
    if "concatenate" in settings:
        return {"concatenate": settings["concatenate"]}
    expected = {
        "implementation": settings["implementation"],
        "options": catalogue.view_options(place.dataset, place.modality, place.view),
        "assets": settings["assets"],
    }
    if settings["uses_torch"]:
        expected["precision"] = "mixed" if catalogue.config["mixed_precision"] else "float32"
    return expected


def _made_with(about: Mapping[str, Any], key: str) -> Any:
    """What a view's attributes say of a key of `_expected`."""
    if key == "concatenate":
        return list(about.get("columns", []))
    if key == "assets":
        return {name: asset["asset"] for name, asset in about.get(key, {}).items()}
    if key == "precision":
        return about.get(key, "float32")
    return about.get(key)


def _source_of(module: str) -> Path | None:
    """The file of a module, or of a script that is named by its path below the checkout."""
    if "/" in module:
        return script if (script := Path(module)).exists() else None
    try:
        spec = find_spec(module)
    except ImportError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _input_file(catalogue: Catalogue, place: Place, name: str) -> Path:
    dataset = place.data / "datasets" / place.dataset
    files = {
        "pairs": dataset / "pairs.parquet",
        "images": dataset / "images.parquet",
        "split": dataset / "splits" / f"{place.split}.parquet",
        "fitted": place.data / f"views/{place.dataset}/{place.split}/{place.modality}/{place.view}.fitted.h5",
    }
    # A part of a concatenation goes by its own name.
    return files.get(name) or place.data / catalogue.view_path(place.dataset, place.split, place.modality, name)


def _numbers(view: ViewFile, path: Path) -> Iterator[str]:
    """Shape and size, then of the values zeros, norms of rows, and columns that never change."""
    values, kind = view.values, view.attributes["kind"]
    raw, size = values.size * values.dtype.itemsize, sum(file.stat().st_size for file in [path, *view.shards])
    shape = " x ".join(map(str, values.shape))
    yield f"{shape} {values.dtype}, {kind}; {size / 1e6:.1f} MB on disk, {size / raw:.2f} of raw"
    zeros, norms, lowest, highest = 0, [], np.inf, -np.inf
    for block in view.blocks():
        rows = block.reshape(len(block), -1).astype(np.float64)
        zeros += np.count_nonzero(rows == 0)
        norms.append(np.linalg.norm(rows, axis=1))
        lowest, highest = np.minimum(lowest, rows.min(axis=0)), np.maximum(highest, rows.max(axis=0))
    norms, constant = np.concatenate(norms), np.count_nonzero(lowest == highest)
    median, least, most = (f"{number:.4g}" for number in (np.median(norms), norms.min(), norms.max()))
    yield f"zeros {100 * zeros / values.size:.1f} %; row norms: median {median}, from {least} to {most}"
    yield f"rows without a feature: {np.count_nonzero(norms == 0)}; columns that never change: {constant}"
    if left_out := view.attributes["left_out"]:
        yield f"items left out: {len(left_out)}, the first is {left_out[0]}"


def _provenance(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    if "columns" in about:
        yield "columns: " + ", ".join(f"{name} {start} to {end - 1}" for name, (start, end) in about["columns"].items())
    else:
        yield f"made by {about.get('implementation', about.get('reader'))}"
        for name, value in about["options"].items():
            yield f"    {name}: {_short(value)}"
    for name, asset in about.get("assets", {}).items():
        yield f"{name}: asset {asset['asset']}, SHA-256 {asset['sha256']}"
    if "train_ids" in arrays:
        yield f"learnt from {len(arrays['train_ids'])} items of the train part"
    for name in ("device", "precision"):
        if name in about:
            yield f"{name}: {about[name]}"
    if "vocabulary_size" in about:
        yield f"vocabulary: {about['vocabulary_size']} words"
    for part, rates in about.get("out_of_vocabulary", {}).items():
        shares = ", ".join(f"{100 * rates[what]:.1f} % of {name}" for what, name in OUT_OF_VOCABULARY.items())
        yield f"out of vocabulary, {part}: {shares}"
    for name, array in arrays.items():
        if name != "train_ids" and "/" not in name:
            yield f"beside it: {name} {' x '.join(map(str, array.shape))}"
    for name in dict.fromkeys(name.partition("/")[0] for name in arrays if "/" in name):
        own = group(arrays, name)
        yield f"beside it: {name}, {len(own)} arrays of {sum(array.size for array in own.values())} numbers"


OUT_OF_VOCABULARY = {"words": "all words", "types": "different words", "texts": "texts have no known word"}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
