"""Every key on one page: ``python -m intentrec.config.reference`` makes deploy/conf/reference.yaml of the sections."""

import json
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from intentrec.config.sections import Config

_WIDTH = 118
# What a key without a default, or with an empty one, looks like when it is filled in.
_EXAMPLES: dict[str, Any] = {
    "warehouse": "warehouse",
    "input.events.path": "logs/*.json.gz",
    "input.events.format": "json",
    "input.events.columns": {"user_id": "user", "item_id": "article", "occurred_at": "ts", "action": "type"},
    "input.items.path": "items.csv",
    "input.items.format": "csv",
    "input.items.columns": {"item_id": "id", "title": "title", "categories": "genres", "published_at": "date"},
    "input.users.path": "users.csv",
    "input.users.format": "csv",
    "input.users.columns": {"user_id": "id", "segment": "plan"},
    "input.rules.path": "rules.json",
    "input.rules.format": "json",
}
_SHOWN_OPTIONAL = {
    "input.items",
    "input.users",
    "input.rules",
}  # by default empty, yet their keys have to stand somewhere
_HEAD = """\
# Every key with its default, unit and meaning. Made of lib/intentrec/config by `make pages`: change that.
# Where a comment says "required" there is no default and the value is an example. Relative paths start at the folder of
# the config. An unknown key is refused and the nearest known one named. --set a.b=c overrides a key, --set a.0.b=c one
# of a list.
"""


def reference_page() -> str:
    """Return the YAML text that loads as a valid config and shows every key, each with a comment above it."""
    return _HEAD + "\n".join(_section(Config, "", "")) + "\n"


def _section(section: type[BaseModel], prefix: str, indent: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        inner = _inner_section(field.annotation)
        if not indent:
            yield ""
        yield from _comment(key, field, inner, indent)
        if inner is None:
            yield f"{indent}{name}: {_value(key, field)}"
        else:
            yield f"{indent}{name}:"
            yield from _nested(inner, field, f"{key}.", indent + "  ")


def _nested(inner: type[BaseModel], field: FieldInfo, prefix: str, indent: str) -> Iterator[str]:
    if not _is_list(field.annotation):
        yield from _section(inner, prefix, indent)
        return
    below = list(_section(inner, prefix, indent + "  "))
    first = next(position for position, line in enumerate(below) if not line.lstrip().startswith("#"))
    below[first] = below[first].replace(indent + "  ", f"{indent}- ", 1)
    yield from below


def _comment(key: str, field: FieldInfo, inner: type[BaseModel] | None, indent: str) -> Iterator[str]:
    said = field.description or (inner.__doc__ or "" if inner else "").strip().rstrip(".")
    facts = [_choices(field.annotation), *_bounds(field), "required" if field.is_required() and inner is None else ""]
    if key in _SHOWN_OPTIONAL:
        facts.append("by default left out; the keys below show what it may hold")
    text = "; ".join(part for part in (said, *facts) if part)
    line = f"{indent}#"
    for word in text.split():
        if len(line) + len(word) >= _WIDTH:
            yield line
            line = f"{indent}#"
        line += f" {word}"
    yield line


def _choices(annotation: Any) -> str:
    found = [str(value) for value in _literals(annotation)]
    return f"one of {', '.join(found)}" if len(found) > 1 else ""


def _literals(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Literal:
        yield from get_args(annotation)
    elif origin in (Annotated, Union, UnionType):
        for part in get_args(annotation):
            yield from _literals(part)


def _bounds(field: FieldInfo) -> Iterator[str]:
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    for limit in [*_limits(field.metadata), *_annotated_limits(field.annotation)]:
        name, bound = limit
        yield f"{words[name]} {bound}"


def _limits(metadata: Any) -> Iterator[tuple[str, Any]]:
    for entry in metadata:
        for name in ("gt", "ge", "lt", "le"):
            bound = getattr(entry, name, None)
            if bound is not None:
                yield name, bound
        yield from _limits(getattr(entry, "metadata", ()))


def _annotated_limits(annotation: Any) -> Iterator[tuple[str, Any]]:
    if get_origin(annotation) is Annotated:
        yield from _limits(get_args(annotation)[1:])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _annotated_limits(part)


def _value(key: str, field: FieldInfo) -> str:
    value = _EXAMPLES.get(key, None if field.is_required() else field.default)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return _flow(list(value) if isinstance(value, tuple) else value)


def _flow(value: Any) -> str:
    """Write a value as YAML in one line; JSON is YAML, and its quotes keep times and ids text."""
    if isinstance(value, dict) and value:
        return "{" + ", ".join(f"{name}: {_flow(part)}" for name, part in value.items()) + "}"
    return json.dumps(value)


def _inner_section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a key holds, alone, optional or in a list; free keys are shown as a value."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) is dict:
        return None
    inner = [_inner_section(part) for part in get_args(annotation) if part not in (NoneType, Ellipsis)]
    return next((section for section in inner if section is not None), None)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


if __name__ == "__main__":
    print(reference_page(), end="")
