"""One YAML file -> one frozen Config -> one job."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from intentrec.config.sections import Config, resolved_path
from intentrec.errors import ConfigError

# What each stage reads: a change re-runs it and all after it.
STAGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "ingest_events": ("timezone", "day_starts_at", "input"),
    "build_sessions": ("timezone", "day_starts_at", "sessions"),
    "build_examples": (
        "timezone", "day_starts_at", "examples", "input.actions", "evaluation.holdout_days",
        "evaluation.validation_days", "recommendations.seen", "recommendations.active_days", "training.workers",
    ),
    "train_model": (
        "model", "training", "examples", "evaluation.holdout_days", "evaluation.validation_days", "evaluation.k",
        "evaluation.popularity_hours", "evaluation.evidence_reach", "evaluation.max_lists", "recommendations.seen",
        "sessions.gap_minutes",
    ),
    "evaluate_model": (
        "model", "training", "evaluation", "recommendations.k", "recommendations.seen", "recommendations.policies",
        "sessions.gap_minutes",
    ),
    "write_recommendations": ("recommendations", "evaluation.popularity_hours", "sessions.gap_minutes"),
}  # fmt: skip
STAGES = tuple(STAGE_KEYS)
# They decide whether a training fails, not what comes of it: changed after a failure, its checkpoints are gone on from.
_OF_NO_EFFECT = ("launcher", "start_timeout_s", "stall_timeout_s", "max_skipped_steps")


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read the file, apply the overrides in order, validate once, make relative paths absolute.

    Args:
        path: YAML file; relative paths in it start at its folder.
        overrides: ``a.b=c``, the value read as YAML; a later one wins.

    Raises:
        ConfigError: a key is unknown or its value is refused; every such key is named.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys) or {}  # noqa: S506 a SafeLoader
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: must hold keys and values, see deploy/conf/reference.yaml")
        for override in overrides:
            _set(values, override)
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(map(_explain, error.errors()))}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    return _with_absolute_paths(config, path.resolve().parent)


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Ends of days in the config's time zone: the only place where a run date becomes an instant."""

    timezone: str
    day_starts_at: str

    def end_of(self, day: date) -> datetime:
        """Return the first instant after ``day``, aware, UTC; events before it belong to the run of that date.

        A day begins at ``day_starts_at`` on its date and ends where the next one begins, so a day of 23 or 25
        hours loses and doubles nothing. A local time that does not exist is read with the offset before the jump.
        """
        hour, minute = map(int, self.day_starts_at.split(":"))
        local = datetime.combine(day + timedelta(days=1), time(hour, minute), ZoneInfo(self.timezone))
        return local.astimezone(UTC)


def cutoff_of(config: Config) -> Cutoff:
    """Return the config's ends of days."""
    return Cutoff(config.timezone, config.day_starts_at)


def stage_hash(config: Config, stage: str) -> str:
    """Return a SHA-256 of the config values that ``stage`` reads; it does not depend on where files lie."""
    values = config.model_dump(mode="json")
    for name in _OF_NO_EFFECT:
        del values["training"][name]
    read = {key: _get(values, key) for key in STAGE_KEYS[stage]}
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def config_hash(config: Config) -> str:
    """Return a SHA-256 of everything that any stage reads; it does not depend on where tables lie."""
    return hashlib.sha256("\n".join(stage_hash(config, stage) for stage in STAGES).encode()).hexdigest()


def _get(values: dict[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        found = found[part]
    return found


class _UniqueKeys(yaml.SafeLoader):
    """A SafeLoader that refuses two equal keys; PyYAML keeps the last one without a word."""


def _mapping_with_unique_keys(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, str) and key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key if isinstance(key, str) else id(key_node))
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_with_unique_keys)


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"--set must be a.b=c, is {override!r}")
    *sections, last = key.split(".")
    found: Any = values
    for section in sections:
        found = _step(found, section, override)
    parsed = yaml.load(value, Loader=_UniqueKeys)  # noqa: S506 a SafeLoader
    if isinstance(found, list):
        found[_position(found, last, override)] = parsed
    else:
        found[last] = parsed


def _step(found: Any, section: str, override: str) -> Any:
    if isinstance(found, list):
        return found[_position(found, section, override)]
    below = found.setdefault(section, {})
    if not isinstance(below, (dict, list)):
        raise ConfigError(f"--set {override}: {section} is not a section")
    return below


def _position(found: list[Any], text: str, override: str) -> int:
    if not text.isdigit() or int(text) >= len(found):
        raise ConfigError(f"--set {override}: {text} must be a position from 0 to {len(found) - 1}")
    return int(text)


def _explain(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg'].removeprefix('Value error, ')}"
    written = re.sub(r"\.\d+\.", ".", key)
    nearest = get_close_matches(written, [*_known_keys(Config)], n=1, cutoff=0)
    return f"{key}: unknown key, the nearest is {nearest[0]}"


def _known_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        for below in _sections_in(field.annotation):
            yield from _known_keys(below, f"{prefix}{name}.")


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)


def _with_absolute_paths(config: Config, folder: Path) -> Config:
    sources = tuple(
        source.model_copy(update={"path": resolved_path(source.path, folder)}) for source in config.input.events
    )
    snapshots = {
        name: snapshot.model_copy(update={"path": resolved_path(snapshot.path, folder)})
        for name in ("items", "users")
        if (snapshot := getattr(config.input, name))
    }
    rules = tuple(
        source.model_copy(update={"path": resolved_path(source.path, folder)}) for source in config.input.rules
    )
    found = {"events": sources, "rules": rules, **snapshots}
    placed: dict[str, Any] = {"input": config.input.model_copy(update=found)}
    if not is_catalog(config.warehouse):
        placed["warehouse"] = resolved_path(config.warehouse, folder)
    if config.erasure.key_file is not None:
        key_file = resolved_path(config.erasure.key_file, folder)
        placed["erasure"] = config.erasure.model_copy(update={"key_file": key_file})
    placed["artifacts"] = _artifacts(config, placed.get("warehouse"), folder)
    return config.model_copy(update=placed)


def _artifacts(config: Config, warehouse: str | None, folder: Path) -> str:
    if config.artifacts is None and warehouse is None:
        raise ConfigError("artifacts: must be set where warehouse is catalog.schema, to a folder for the model files")
    place = f"{warehouse}/artifacts" if config.artifacts is None else resolved_path(config.artifacts, folder)
    place = place.removeprefix("file://")
    if "://" in place:
        raise ConfigError(f"artifacts: must be a folder that all ranks see, is {place}; set it to a mounted one")
    return place


def is_catalog(warehouse: str) -> bool:
    """Return whether ``warehouse`` names catalog.schema; anything else is a folder."""
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*", warehouse) is not None
