"""Configuration files: YAML, checked against a schema, with errors in the words of whoever writes the file."""

import csv
import difflib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from cmr.errors import UserError

# The same loader in C is ten times as fast where PyYAML was built with it.
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# 10.0 is no integer and NaN no number for the methods that these values reach.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
    }
)
StrictValidator = extend(Draft202012Validator, type_checker=_TYPES)


def read_yaml(path: Path) -> Any:
    """Raises UserError naming the file when it is missing or no YAML."""
    try:
        return yaml.load(path.read_text("utf-8"), Loader=SAFE_LOADER)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by the names of its columns. Raises UserError where it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def check(value: Any, schema: Validator, where: str) -> None:
    """Raises UserError, beginning with `where` and the key, for what fits the schema least."""
    error = best_match(schema.iter_errors(value))
    if error is not None:
        raise UserError(": ".join([where, *map(str, error.absolute_path), _explain(error)]))


def check_name(name: str, known: Iterable[str], where: str, kind: str) -> None:
    """Raises the error of `unknown` for a name that is none of the known."""
    if name not in (known := list(known)):
        raise unknown(name, known, where, kind)


def unknown(name: str, known: Iterable[str], where: str, kind: str) -> UserError:
    """The error for a name that nothing has: it suggests the one that was meant, or lists the known ones."""
    return UserError(f'{where}: unknown {kind} "{name}"{_suggest(name, known)}')


def _explain(error: ValidationError) -> str:
    if error.validator == "type" and error.instance is None:
        return "it is empty"
    if error.validator == "type" and error.validator_value == "array":
        return f"{error.instance!r} is no list; write [{error.instance}]"
    if error.schema is False:
        return "this key does not go with the others"
    if error.validator in ("oneOf", "anyOf") and "description" in error.schema:
        return f"{error.instance!r} will not do: {error.schema['description']}"
    if error.validator in ("oneOf", "anyOf") and all("required" in option for option in error.validator_value):
        keys = [" with ".join(option["required"]) for option in error.validator_value]
        return f"give {'exactly' if error.validator == 'oneOf' else 'at least'} one of {', '.join(keys)}"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        unknown = [key for key in error.instance if key not in known]
        return "; ".join(f'unknown key "{key}"{_suggest(key, known)}' for key in unknown)
    if error.validator == "unevaluatedProperties" and isinstance(error.instance, dict):
        known = _keys_of(error.schema)
        unknown = [key for key in error.instance if key not in known]
        goes_with = [f'"{key}" does not go with the others' for key in error.instance if key in known]
        return "; ".join([f'unknown key "{key}"{_suggest(key, known)}' for key in unknown] or goes_with[-1:])
    if error.validator == "enum":
        known = [str(value) for value in error.validator_value if value not in error.schema.get("by_name", [])]
        return f"{error.instance!r} is not one of {', '.join(known)}"
    if error.validator == "pattern" and "description" in error.schema:
        return f'"{error.instance}" will not do: {error.schema["description"]}'
    return error.message


def _keys_of(schema: dict[str, Any]) -> list[str]:
    """Keys that a schema with conditions knows under any of them."""
    thens = [option.get("then", {}) for option in schema.get("allOf", [])]
    return [key for part in (schema, *thens) for key in part.get("properties", {})]


def _suggest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(known) or 'none'}"
