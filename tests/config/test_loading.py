"""The YAML file, --set, error lines, ends of days and the hashes of what a stage reads."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from intentrec.config import STAGES, Config, Cutoff, cutoff_of, is_catalog, load_config, stage_hash
from intentrec.errors import ConfigError

MINIMAL = """\
warehouse: tables
input:
  events:
    - path: "logs/*.json"
      format: json
      columns: {user_id: user, item_id: article, occurred_at: ts}
  items: {path: items.csv, format: csv, columns: {item_id: id}}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "nightly.yaml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


def load(path: Path, text: str, *overrides: str) -> Config:
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def refusal(path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(path, text, *overrides)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_relative_paths_start_at_the_files_folder(written: Path) -> None:
    config = load_config(written)
    folder = written.parent
    assert config.warehouse == f"{folder}/tables"
    assert config.artifacts == f"{folder}/tables/artifacts"
    assert config.input.events[0].path == f"{folder}/logs/*.json"
    assert config.input.items is not None
    assert config.input.items.path == f"{folder}/items.csv"


def test_artifacts_may_lie_elsewhere(written: Path) -> None:
    assert load_config(written, ["artifacts=models"]).artifacts == f"{written.parent}/models"
    assert load_config(written, ["artifacts=file:///data/models"]).artifacts == "/data/models"
    assert load_config(written, ["warehouse=file:///data/shop"]).artifacts == "/data/shop/artifacts"


def test_artifacts_are_a_folder_also_where_the_tables_are_not(written: Path) -> None:
    for override, place in (
        ("warehouse=s3://shop/tables", "s3://shop/tables/artifacts"),
        ("artifacts=s3://m", "s3://m"),
    ):
        assert refusal(written, MINIMAL, override) == (
            f"artifacts: must be a folder that all ranks see, is {place}; set it to a mounted one"
        )


def test_a_catalog_stays_a_name_and_wants_a_folder_for_the_models(written: Path) -> None:
    config = load_config(written, ["warehouse=main.shop", "artifacts=/data/models"])
    assert (config.warehouse, config.artifacts) == ("main.shop", "/data/models")
    assert "artifacts: must be set where warehouse is catalog.schema" in refusal(
        written, MINIMAL, "warehouse=main.shop"
    )


@pytest.mark.parametrize(
    ("text", "catalog"),
    [("main.shop", True), ("tables", False), ("./a.b", False), ("a.b.c", False), ("/a.b", False), ("s3://a.b", False)],
)
def test_only_two_plain_names_are_a_catalog(text: str, catalog: bool) -> None:
    assert is_catalog(text) is catalog


def test_overrides_are_applied_in_order_and_the_later_wins(written: Path) -> None:
    config = load_config(written, ["sessions.gap_minutes=20", "sessions.gap_minutes=25", "recommendations.seen=null"])
    assert config.sessions.gap_minutes == 25
    assert config.recommendations.seen is None


def test_an_override_reaches_into_a_list_by_position(written: Path) -> None:
    config = load_config(written, ["input.events.0.path=/data/*.json", "evaluation.k=[5]"])
    assert config.input.events[0].path == "/data/*.json"
    assert config.evaluation.k == (5,)


def test_an_override_keeps_everything_after_its_first_equals_sign(written: Path) -> None:
    assert load_config(written, ["artifacts=/data/run=1"]).artifacts == "/data/run=1"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sessions.gap_minutes", "--set must be a.b=c, is 'sessions.gap_minutes'"),
        ("warehouse.x=1", "--set warehouse.x=1: warehouse is not a section"),
        ("input.events.1.path=x", "--set input.events.1.path=x: 1 must be a position from 0 to 0"),
        ("input.events.first.path=x", "first must be a position from 0 to 0"),
        ("input.events.7=x", "7 must be a position from 0 to 0"),
        ("sessions.gap_minuts=1", "sessions.gap_minuts: unknown key, the nearest is sessions.gap_minutes"),
        (
            "input.events.0.time_units=s",
            "input.events.0.time_units: unknown key, the nearest is input.events.time_unit",
        ),
        ("evaluation.gate.margn=1", "evaluation.gate.margn: unknown key, the nearest is evaluation.gate.margin"),
        ("sessions.gap_minutes=0", "sessions.gap_minutes: Input should be greater than 0"),
        ("timezone=Mars", "timezone: 'Mars' is no IANA time zone"),
        ("model.attention_heads=3", "model: attention_heads 3 must divide width 64"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_the_key(written: Path, override: str, message: str) -> None:
    assert message in refusal(written, MINIMAL, override)


def test_every_wrong_key_is_named_at_once(written: Path) -> None:
    message = refusal(written, MINIMAL + "sesions: {}\nmodell: {}\n")
    assert "sesions: unknown key, the nearest is sessions" in message
    assert "modell: unknown key, the nearest is model" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "warehouse: Field required"),
        ("- a\n- b\n", "must hold keys and values, see deploy/conf/reference.yaml"),
        ("just text", "must hold keys and values"),
        ("warehouse: [", "while parsing"),
        (MINIMAL + "warehouse: other\n", "key 'warehouse' stands twice"),
        (MINIMAL + "sessions: {gap_minutes: 1, gap_minutes: 2}\n", "key 'gap_minutes' stands twice"),
        ("warehouse: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_config_is_one_line_that_names_the_file(written: Path, text: str, message: str) -> None:
    line = refusal(written, text)
    assert message in line
    assert line.startswith(str(written))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: .*No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_bytes(b"warehouse: \xff\xfe")
    with pytest.raises(ConfigError, match=r"nightly\.yaml: .*utf-8"):
        load_config(path)


@pytest.mark.parametrize(
    ("timezone", "day_starts_at", "day", "end"),
    [
        ("UTC", "00:00", date(2024, 5, 1), datetime(2024, 5, 2, tzinfo=UTC)),
        ("UTC", "02:36", date(2017, 10, 1), datetime(2017, 10, 2, 2, 36, tzinfo=UTC)),
        ("Europe/Berlin", "00:00", date(2024, 1, 31), datetime(2024, 1, 31, 23, tzinfo=UTC)),  # UTC+1
        (
            "Europe/Berlin",
            "00:00",
            date(2024, 3, 30),
            datetime(2024, 3, 30, 23, tzinfo=UTC),
        ),  # the day before the clocks jump
        ("Europe/Berlin", "00:00", date(2024, 3, 31), datetime(2024, 3, 31, 22, tzinfo=UTC)),  # a day of 23 hours
        ("Europe/Berlin", "00:00", date(2024, 10, 27), datetime(2024, 10, 27, 23, tzinfo=UTC)),  # a day of 25 hours
        (
            "Europe/Berlin",
            "02:30",
            date(2024, 3, 30),
            datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
        ),  # 02:30 does not exist: read as UTC+1
    ],
)
def test_a_day_ends_where_the_next_begins(timezone: str, day_starts_at: str, day: date, end: datetime) -> None:
    assert Cutoff(timezone, day_starts_at).end_of(day) == end


def test_the_ends_of_days_come_from_the_config(written: Path) -> None:
    config = load_config(written, ["timezone=Asia/Tokyo", "day_starts_at='04:00'"])
    assert cutoff_of(config) == Cutoff("Asia/Tokyo", "04:00")


def test_a_stage_hash_changes_with_what_the_stage_reads_and_only_then(written: Path) -> None:
    before = load_config(written)
    after = load_config(written, ["sessions.gap_minutes=31"])
    changed = {stage for stage in STAGES if stage_hash(before, stage) != stage_hash(after, stage)}
    # What follows an item within the gap is evidence, and a session is over after it.
    assert changed == {"build_sessions", "train_model", "evaluate_model", "write_recommendations"}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("input.late_days=9", {"ingest_events"}),
        ("examples.history_length=9", {"build_examples", "train_model"}),
        ("model.width=32", {"train_model", "evaluate_model"}),
        ("recommendations.active_days=9", {"build_examples", "write_recommendations"}),
        ("evaluation.popularity_hours=[24]", {"train_model", "evaluate_model", "write_recommendations"}),
        ("evaluation.evidence_reach=[2]", {"train_model", "evaluate_model"}),
        ("evaluation.k=[5]", {"train_model", "evaluate_model"}),
        ("evaluation.max_lists=9", {"train_model", "evaluate_model"}),
        ("evaluation.gate.margin=0.5", {"evaluate_model"}),
        ("timezone=Asia/Tokyo", {"ingest_events", "build_sessions", "build_examples"}),
        ("spark.master=local[3]", set()),
        ("training.patience=9", {"train_model", "evaluate_model"}),
        ("training.launcher=local", set()),  # after a failure: the checkpoints are gone on from
        ("training.start_timeout_s=9", set()),
        ("training.stall_timeout_s=9", set()),
        ("training.max_skipped_steps=9", set()),
    ],
)
def test_each_key_re_runs_the_stages_that_read_it(written: Path, override: str, stages: set[str]) -> None:
    before, after = load_config(written), load_config(written, [override])
    assert {stage for stage in STAGES if stage_hash(before, stage) != stage_hash(after, stage)} == stages


@pytest.mark.parametrize("name", ["demo/nightly.yaml", "conf/globo_clicks.yaml", "conf/reference.yaml"])
def test_every_config_that_ships_is_valid(name: str) -> None:
    shipped = Path(__file__).resolve().parents[2] / "deploy" / name
    assert load_config(shipped).input.events


def test_one_source_of_rules_needs_no_list_and_starts_at_the_folder_of_the_file(written: Path) -> None:
    config = load_config(written, ["input.rules={path: rules.json, format: json}"])
    assert [source.path for source in config.input.rules] == [str(written.resolve().parent / "rules.json")]
    assert load_config(written).input.rules == ()
