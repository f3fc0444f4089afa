"""Configuration files: YAML, checked against a schema, with errors in the words of whoever writes the file.

They may come from strangers. YAML is read as what JSON could hold too, no tag makes an object, and a file that would
take the reader's memory or stack is refused before it is read.
"""

import csv
import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from cmr.errors import UserError

MOST_BYTES = 4 << 20
MOST_DEPTH = 50
MOST_VALUES = 100_000  # what is repeated by an alias counted each time
JSON_TAGS = [f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")]
TIMESTAMP = "tag:yaml.org,2002:timestamp"


# The same loader in C is ten times as fast where PyYAML was built with it.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Numbers, truths, strings, lists and mappings alone; a date is a string."""

    yaml_constructors: ClassVar = {
        tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag in JSON_TAGS
    }
    yaml_implicit_resolvers: ClassVar = {
        start: [(tag, pattern) for tag, pattern in found if tag != TIMESTAMP]
        for start, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


# 10.0 is no integer and NaN no number for the methods that these values reach.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many(
    {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        ),
    }
)


def _pattern(_validator: Validator, pattern: str, instance: Any, _schema: dict[str, Any]) -> Iterator[ValidationError]:
    """In JSON schemas `$` is the very end, in Python it may be a line's: a name with a line break must not pass."""
    if isinstance(instance, str) and not re.search(re.sub(r"(?<!\\)\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


StrictValidator = extend(Draft202012Validator, {"pattern": _pattern}, type_checker=_TYPES)


def read_yaml(path: Path) -> Any:
    """Raises UserError naming the file when it is missing, no YAML, says something twice, or is too much of it."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} has more than {MOST_BYTES >> 20} MB, too many for a file of settings")
        text = path.read_text("utf-8")
        _refuse_what_explodes(text, path)
        loader = _Loader(text)
        node = loader.get_single_node()
        _refuse_repeated_keys(node, path)
        return None if node is None else loader.construct_document(node)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _refuse_what_explodes(text: str, path: Path) -> None:
    """Depth and number of values, told from the stream of events, which itself takes neither memory nor stack."""
    sizes: dict[str, int] = {}  # anchor -> values that an alias to it stands for
    open_: list[tuple[str | None, int]] = []  # of collections that have not ended: anchor, values before it
    values = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, values))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in open_}:
                raise UserError(f"{path}: line {event.start_mark.line + 1}: *{event.anchor} holds itself")
            values += sizes.get(event.anchor, 1)
        values += isinstance(event, yaml.NodeEvent)
        if len(open_) > MOST_DEPTH or values > MOST_VALUES:
            most = (
                f"{MOST_DEPTH} levels" if len(open_) > MOST_DEPTH else f"{MOST_VALUES} values, repeated ones included"
            )
            raise UserError(f"{path}: line {event.start_mark.line + 1}: a file of settings has at most {most}")


def _refuse_repeated_keys(root: yaml.Node | None, path: Path) -> None:
    """YAML itself would take the last of them, and say nothing."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        keys = set()
        for key, value in node.value:
            where = f"{path}: line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{where}: a key must be one word or number")
            if (key.tag, key.value) in keys:
                raise UserError(f'{where}: the key "{key.value}" is given twice: take one away')
            keys |= {(key.tag, key.value)}
            waiting.append(value)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by the names of its columns. Raises UserError where it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def check(value: Any, schema: Validator, where: str) -> None:
    """Raises UserError, beginning with `where` and the key, for what fits the schema least."""
    _refuse_control_characters(value, where)
    error = best_match(schema.iter_errors(value))
    if error is not None:
        raise UserError(": ".join([where, *map(str, error.absolute_path), _explain(error)]))


def _refuse_control_characters(value: Any, where: str) -> None:
    """They would command terminals, end lines of shells, or show a text in another order than it has."""
    if isinstance(value, str):
        strange = next((character for character in value if is_control(character)), None)
        if strange is not None:
            raise UserError(f"{where}: {value!a} holds the control character {strange!a}: take it out")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_control_characters(key, where)
            _refuse_control_characters(item, f"{where}: {key}")
    elif isinstance(value, list):
        for item in value:
            _refuse_control_characters(item, where)


def is_control(character: str) -> bool:
    """Whether a character commands instead of being seen; line breaks and tabs do not count."""
    overrides_direction = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return (unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t") or overrides_direction


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
