"""Views as the configuration names them: a class, its options, and the assets that fill some of them."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from cmr.assets.obtain import check_asset
from cmr.construct import VIEWS, build
from cmr.errors import UserError
from cmr.provenance import code, digests_of, versions
from cmr.views.base import ImageView, TextView

View = TypeVar("View", ImageView, TextView)


def arguments(description: str) -> ArgumentParser:
    """A parser with what scripts are told of a view: `implementation`, `options`, `assets`."""
    parser = ArgumentParser(description=description)
    parser.add_argument("implementation", help="dotted class name, e.g. cmr.views.image.gist.Gist")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="its parameters")
    parser.add_argument("--assets", type=_paths, default={}, metavar="JSON", help="parameter -> folder of an asset")
    return parser


def configured(
    base: type[View], implementation: str, options: Mapping[str, Any], assets: Mapping[str, Path], learnt: bool
) -> View:
    """The view of a dotted class name.

    Parameters
    ----------
    base : ImageView or TextView.
    options : values of its parameters.
    assets : parameter -> folder of the asset that fills it.
    learnt : whether the configuration says that it learns; where it does not, it must not.

    Raises UserError for an unknown class or option, and where the configuration is wrong about learning.
    """
    view = build(implementation, {**options, **assets}, VIEWS)
    if not isinstance(view, base):
        raise UserError(f"{implementation} is no {base.__name__}: it must be one to make such features")
    if view.learnt and not learnt:
        raise UserError(f"{implementation} learns from the train part: give the view `learnt: true` in config/views")
    if learnt and not view.learnt:
        raise UserError(f"{implementation} learns nothing with these options: take `learnt` from it in config/views")
    return view


def resolved_device(view: ImageView, name: str | None) -> str | None:
    """The device that a view computes on: none for one without torch.

    `name` is what the configuration says, none where it does not say `uses_torch`. Raises UserError where it is wrong
    about that.
    """
    kind = f"{type(view).__module__}.{type(view).__qualname__}"
    if view.uses_torch != (name is not None):
        wanted = "give the view `uses_torch: true`" if view.uses_torch else "take `uses_torch` from the view"
        does = "computes" if view.uses_torch else "does not compute"
        raise UserError(f"{kind} {does} with torch: {wanted} in config/views (by hand: --device)")
    if name is None:
        return None
    from cmr.device import resolve_device  # imports torch, which other views do without

    return str(resolve_device(name))


def provenance(
    view: ImageView | TextView,
    implementation: str,
    options: Mapping[str, Any],
    assets: Mapping[str, Path],
    inputs: Mapping[str, Path],
) -> dict[str, Any]:
    """What made a view: JSON values for the file that holds it.

    `inputs` are files of ours that it was made of, by what they are; `assets` as for `configured`.
    """
    return {
        "implementation": implementation,
        "options": dict(options),
        "assets": {name: digest_of_asset(folder) for name, folder in assets.items()},
        "learnt": view.learnt,
        "kind": view.kind,
        "inputs": digests_of(inputs),
        "versions": versions(),
        "code": code(),
    }


def digest_of_asset(folder: Path) -> dict[str, str]:
    """Name and SHA-256 of an asset as it was obtained; raises UserError where its files are no longer that."""
    manifest = check_asset(folder)
    return {"asset": manifest["asset"], "file": manifest["file"], "sha256": manifest["sha256"]}


def _paths(text: str) -> dict[str, Path]:
    return {name: Path(path) for name, path in json.loads(text).items()}
