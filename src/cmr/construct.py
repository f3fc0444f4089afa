"""Objects named in configuration files: a dotted name, and the options of what it names.

Such files may come from strangers, so that a name is no licence to run anything: it reaches the part of this library
that is meant, or a module of the user's own. What Python itself and installed packages hold is out of reach.
"""

import inspect
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cmr.errors import UserError

LIBRARY = "cmr"
METHODS, VIEWS, READERS = "cmr.methods", "cmr.views", "cmr.datasets"  # the homes of what configurations name
_INSTALLED = {"site-packages", "dist-packages"}  # of the user and of the system too, wherever they lie


def exists(name: str, home: str) -> bool:
    """Whether the module of a dotted name is there; the packages that it lies in are imported, it itself is not.

    Raises UserError for a name that a configuration must not give, see `load`.
    """
    module = name.rpartition(".")[0]
    if not _is_dotted(name):
        return False
    _check_place(name, module, home)
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


def load(name: str, home: str) -> Any:
    """The class or function behind a dotted name, e.g. `cmr.methods.linear.cca.CCA`; imports only its own module.

    `home` is the part of the library where such things lie, e.g. `cmr.methods`. Raises UserError for what lies
    elsewhere, except in the user's own modules, which are beside the Snakefile or elsewhere on Python's path but not
    among its installed packages, and for what a module has only borrowed from elsewhere.
    """
    module, _, attribute = name.rpartition(".")
    if not _is_dotted(name):
        raise UserError(f"{name!r} cannot be imported: it is no dotted name")
    _check_place(name, module, home)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f'"{name}" cannot be imported: {error}') from error
    place = getattr(found, "__module__", None)
    if not isinstance(place, str):
        raise UserError(f'"{name}" is no class and no function')
    _check_place(name, place, home)
    return found


def build(name: str, options: Mapping[str, Any], home: str) -> Any:
    """An instance of the dataclass behind a dotted name; an unknown or missing option is refused by name.

    `home` as of `load`.
    """
    cls = load(name, home)
    if not (isinstance(cls, type) and is_dataclass(cls)) or inspect.isabstract(cls):
        raise UserError(f"{name} cannot be built: it must be a dataclass that fills its contract")
    known = {field.name: field for field in fields(cls) if field.init}
    for option in options:
        if option not in known:
            raise UserError(f'{cls.__name__} has no option "{option}"; it has {", ".join(known) or "none"}')
    for option, field in known.items():
        if option not in options and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f'{cls.__name__} needs the option "{option}"')
    return cls(**options)


def call(name: str, home: str, /, *arguments: Any, **options: Any) -> Any:
    """What the function behind a dotted name returns; an option that it does not take, or misses, is a UserError.

    `home` as of `load`.
    """
    function = load(name, home)
    if not inspect.isfunction(function):
        raise UserError(f"{name} cannot be called: it must be a function")
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError as error:
        raise UserError(f"options of {name}: {error}") from error
    return function(*arguments, **options)


def _is_dotted(name: str) -> bool:
    return "." in name and all(part.isidentifier() for part in name.split("."))


def _check_place(name: str, module: str, home: str) -> None:
    """Refuse what neither `home` nor a module of the user's holds, before anything of it is imported."""
    top = module.partition(".")[0]
    allowed = f"{module}.".startswith(f"{home}.") if top == LIBRARY else not _is_installed_package(top)
    if not allowed:
        raise UserError(
            f'"{name}" must not be named in a configuration: name something of {home}, or of a module of your own '
            "beside the Snakefile, on PYTHONPATH or installed with `pip install --editable`"
        )


def is_installed(file: Path) -> bool:
    """Whether a module's file, or a package's folder, is Python's own or lies among the installed packages."""
    file = file.resolve()
    return not _INSTALLED.isdisjoint(file.parts) or any(file.is_relative_to(place) for place in _places_of_packages())


@cache
def _places_of_packages() -> frozenset[Path]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return frozenset(Path(sysconfig.get_path(name)).resolve() for name in names)


def _is_installed_package(package: str) -> bool:
    """Whether a top-level module is Python's own or an installed one; one that is nowhere is not."""
    if package in sys.stdlib_module_names or package == "__main__":
        return True
    spec = PathFinder.find_spec(package)  # the hooks of setuptools do things when they are asked, as for pip
    places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
    return any(is_installed(Path(place)) for place in places if place)
