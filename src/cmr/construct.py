"""Objects named in configuration files: a dotted name, and the options of what it names."""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import Any

from cmr.errors import UserError


def load(name: str) -> Any:
    """The class or function behind a dotted name, e.g. `cmr.methods.linear.cca.CCA`; imports only its own module."""
    module_name, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f'"{name}" cannot be imported: {error}') from error


def build(name: str, options: Mapping[str, Any]) -> Any:
    """An instance of the dataclass behind a dotted name; an unknown or missing option is refused by name."""
    cls = load(name)
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


def call(name: str, *arguments: Any, **options: Any) -> Any:
    """What the function behind a dotted name returns; an option that it does not take, or misses, is a UserError."""
    function = load(name)
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError as error:
        raise UserError(f"options of {name}: {error}") from error
    return function(*arguments, **options)
