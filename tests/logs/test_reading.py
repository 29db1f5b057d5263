import gzip
import hashlib
import io
from datetime import UTC, datetime

import pytest

from intentrec.config import Derived
from intentrec.errors import ConfigError
from intentrec.logs import Asked, find_files, read_head, read_rows
from intentrec.logs.finding import LogFile
from intentrec.logs.opening import DamagedFileError, ForeignFileError
from intentrec.logs.reading import num_tasks, read_file

COLUMNS = {"user_id": "user", "item_id": "item"}


def read(content, path, format_="csv", known=(), **options):
    asked = Asked.of(format_, COLUMNS, (), options)
    return [row for batch in read_file(io.BytesIO(content), path, asked, known) for row in batch.to_pylist()]


def test_the_rows_of_a_file_are_followed_by_its_notice():
    rows = read(b"user,item\nann,tea\n", "a.csv")
    assert [row["kind"] for row in rows] == ["row", "file"]
    assert rows[0]["line"] == 2
    assert (rows[0]["raw"], rows[0]["user_id"], rows[0]["item_id"]) == ("ann,tea", "ann", "tea")
    assert rows[0]["content_sha256"] == rows[1]["content_sha256"]


@pytest.mark.parametrize(
    ("lines", "users"), [((3, 5), ["bob", "dan"]), ((9,), []), (None, ["ann", "bob", "cat", "dan"])]
)
def test_of_a_content_only_the_lines_are_yielded_that_are_wanted(lines, users):
    content = b"user,item\nann,tea\nbob,tea\ncat,tea\ndan,tea\n"
    asked = Asked.of("csv", COLUMNS, (), {})
    wanted = {"another content": (2,)} | ({} if lines is None else {hashlib.sha256(content).hexdigest(): lines})
    rows = [row for batch in read_file(io.BytesIO(content), "a.csv", asked, (), wanted) for row in batch.to_pylist()]
    assert [row["user_id"] for row in rows if row["kind"] == "row"] == users
    assert rows[-1]["kind"] == "file"


def test_a_damaged_file_is_one_refused_row_and_none_of_its_rows():
    rows = read(gzip.compress(b"user,item\n" + b"ann,tea\n" * 100_000)[:-9], "a.csv.gz")
    assert [(row["kind"], row["line"], row["reason"]) for row in rows] == [
        ("row", None, "file_unreadable"),
        ("file", None, None),
    ]
    assert rows[0]["detail"].startswith("cannot be unpacked to its end")


def test_a_known_content_is_not_read_and_a_foreign_one_refused():
    sha256 = read(b"user,item\nann,tea\n", "a.csv")[0]["content_sha256"]
    assert [row["kind"] for row in read(b"user,item\nann,tea\n", "a.csv", known=[sha256])] == ["known"]
    rows = read(b"user,thing\nann,tea\n", "a.csv")
    assert [(row["kind"], row["detail"]) for row in rows] == [
        ("foreign", "column 'item' (for item_id) is not in the columns user, thing")
    ]


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        (r"\((\d{4})\)$", ["2012", None, None]),  # the group; no match and a null are null
        (r"\d{4}", ["2012", "1999", None]),  # without a group: the first match
        (r"(x?)$", [None, None, None]),  # an empty match is null, as an empty field of CSV
        (r"(?:(\d+)a)?", [None, None, None]),  # a group that takes no part
    ],
)
def test_a_field_may_be_a_part_of_a_column_or_the_same_in_every_row(pattern, kept):
    columns = {
        "item_id": Derived(column="item", pattern=pattern),
        "action": Derived(constant="view"),
        "user_id": "user",
    }
    asked = Asked.of("csv", columns, (), {})
    content = b"user,item\nann,Tea (2012)\nbob,Cup 1999!\ncat,\ndan\n"
    rows = [row for batch in read_file(io.BytesIO(content), "a.csv", asked, ()) for row in batch.to_pylist()]
    assert [row["item_id"] for row in rows[:3]] == kept
    assert [(row["user_id"], row["action"]) for row in rows[:3]] == [("ann", "view"), ("bob", "view"), ("cat", "view")]
    assert (rows[3]["reason"], rows[3]["item_id"]) == ("malformed_row", None)
    assert (rows[4]["kind"], rows[4]["action"]) == ("file", None)


@pytest.mark.parametrize(
    ("format_", "options", "told"),
    [
        (
            "csv",
            {"seperator": ";"},
            "option 'seperator' is unknown for format csv, wanted one of sep, header, quote, escape, encoding",
        ),
        ("json", {"sep": ";"}, "option 'sep' is unknown for format json, wanted none"),
        ("csv", {"header": "maybe"}, "option header must be true or false, is 'maybe'"),
        ("csv", {"quote": "''"}, "option quote must be one character, is \"''\""),
        ("csv", {"escape": "ab"}, "option escape must be one character, is 'ab'"),
        ("csv", {"sep": ""}, "option sep must be at least one character"),
        (
            "csv",
            {"encoding": "utf-16"},
            "option encoding must be one that contains ASCII, such as latin-1, is 'utf-16'",
        ),
        (
            "csv",
            {"encoding": "klingon"},
            "option encoding must be one that contains ASCII, such as latin-1, is 'klingon'",
        ),
    ],
)
def test_an_option_that_makes_no_sense_is_named(format_, options, told):
    with pytest.raises(ConfigError) as error:
        Asked.of(format_, COLUMNS, (), options)
    assert str(error.value) == f"input: {told}"


@pytest.mark.parametrize(
    ("sizes", "tasks"),
    [
        ([], 1),
        ([1], 1),
        ([1] * 36, 2),  # as many as there are slots
        ([2**23] * 5, 5),  # 40 MiB: ten would have work, five files
        ([2**20] * 40, 10),
        ([2**30] * 3000, 2048),
    ],
)
def test_small_files_share_a_task(sizes, tasks):
    files = [LogFile(str(number), size, datetime(2024, 5, 1, tzinfo=UTC)) for number, size in enumerate(sizes)]
    assert num_tasks(files, 2) == tasks


def test_files_are_read_by_spark(spark, tmp_path):
    from intentrec.config import Snapshot

    (tmp_path / "a.csv").write_text("user,item\nann,tea\n")
    (tmp_path / "b.csv").write_text("user,item\nbob,cup\n")
    (tmp_path / "_SUCCESS").write_text("")
    snapshot = Snapshot(path=str(tmp_path), format="csv", columns=COLUMNS)
    files = find_files(spark, snapshot, None)
    rows = read_rows(spark, files, Asked.of("csv", COLUMNS, (), {}), {})
    found = rows.where("kind = 'row'").select("source_file", "line", "user_id").collect()
    assert {(row.source_file, row.line, row.user_id) for row in found} == {
        (str(tmp_path / "a.csv"), 2, "ann"),
        (str(tmp_path / "b.csv"), 2, "bob"),
    }
    (tmp_path / "a.csv").unlink()
    gone = read_rows(spark, files, Asked.of("csv", COLUMNS, (), {}), {}).where("kind = 'foreign'").collect()
    assert [row.detail for row in gone] == ["cannot be opened: No such file or directory"]


def test_the_head_of_a_file_is_read_without_its_end_and_damage_is_told(tmp_path):
    rows = "".join(f"{user},tea\n" for user in range(20_000))
    (tmp_path / "a.csv").write_text("user,item\n" + "ann\n" + rows)
    asked = Asked.of("csv", {"user_id": Derived(column="user", pattern="^.")}, (), {})
    head = read_head(str(tmp_path / "a.csv"), asked, 3)
    assert [(row["reason"], row["user_id"]) for row in head] == [("malformed_row", None), (None, "0"), (None, "1")]
    packed = gzip.compress(b"user,item\nann,tea\n")
    (tmp_path / "a.csv.gz").write_bytes(packed[:-9])
    with pytest.raises(DamagedFileError, match="cannot be read"):
        read_head(str(tmp_path / "a.csv.gz"), asked, 3)
    with pytest.raises(FileNotFoundError):  # what cannot be opened is not for that a damaged file
        read_head(str(tmp_path / "none.csv"), asked, 3)
    (tmp_path / "b.csv").write_text("who\nann\n")
    with pytest.raises(ForeignFileError, match="column 'user'"):
        read_head(str(tmp_path / "b.csv"), asked, 3)
