"""The rules of CONTRIBUTING.md that a machine can check: mirrored tests, sizes, names, no SQL joined from strings."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import intentrec

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "lib" / "intentrec"
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_ARGUMENTS = 6
BANNED = {"utils", "util", "helpers", "helper", "common", "manager", "base"}
SQL = re.compile(
    r"^\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|CREATE|ALTER|DROP|VACUUM|OPTIMIZE|RESTORE)\b.*\s", re.IGNORECASE
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    return sorted([*LIB.rglob("*.py"), *ROOT.glob("jobs/*.py"), *ROOT.glob("deploy/**/*.py")])


def all_python() -> list[Path]:
    return sorted([*sources(), *(ROOT / "tests").rglob("*.py")])


def mirror_of(source: Path) -> Path:
    top = {"lib": ROOT / "lib" / "intentrec", "jobs": ROOT, "deploy": ROOT}[source.relative_to(ROOT).parts[0]]
    inside = source.relative_to(top)
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def arguments(function: Function) -> int:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([argument for argument in every if argument.arg not in ("self", "cls")])


def lines(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def sql_from_strings(code: str) -> Iterator[int]:
    """Yield the lines where SQL is not one literal; a name that no parameter can carry needs `noqa: S608 why`."""
    excused = {number for number, line in enumerate(code.splitlines(), 1) if re.search(r"# noqa: S608 \w+ \w+", line)}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sql":
            first = node.args[0] if node.args else None
            found = not (isinstance(first, ast.Constant) and isinstance(first.value, str))
        elif isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
            text = str(node.values[0].value)
            found = bool(SQL.match(text)) and text.split()[0].isupper()
        else:
            continue
        if found and not excused & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)):
            yield node.lineno


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_source_file_has_a_test_file_of_its_name(source: Path) -> None:
    if source.name != "__init__.py":
        assert mirror_of(source).exists(), f"{source.relative_to(ROOT)} has no {mirror_of(source).relative_to(ROOT)}"


@pytest.mark.parametrize("source", all_python(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_function_or_argument_list_is_too_long(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    where = source.relative_to(ROOT)
    assert text.count("\n") <= MAX_FILE_LINES, f"{where} has {text.count(chr(10))} lines, wanted {MAX_FILE_LINES}"
    if source.is_relative_to(ROOT / "tests"):
        return
    for function in functions(ast.parse(text)):
        here = f"{where}:{function.lineno} {function.name}"
        assert lines(function) <= MAX_FUNCTION_LINES, f"{here} has {lines(function)} lines, wanted {MAX_FUNCTION_LINES}"
        assert arguments(function) <= MAX_ARGUMENTS, (
            f"{here} has {arguments(function)} arguments, wanted {MAX_ARGUMENTS}"
        )


@pytest.mark.parametrize("source", all_python(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_is_one_that_says_nothing(source: Path) -> None:
    inside = source.relative_to(ROOT)
    used = {*inside.with_suffix("").parts[1:], *names(ast.parse(source.read_text(encoding="utf-8")))}
    empty = {name: words(name) & BANNED for name in used if words(name) & BANNED}
    assert not empty, f"{inside}: {empty}"


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sql_is_joined_from_strings(source: Path) -> None:
    found = sorted(set(sql_from_strings(source.read_text(encoding="utf-8"))))
    assert not found, (
        f"{source.relative_to(ROOT)}: lines {found} join SQL from strings, wanted parameters or DataFrames"
    )


def test_jobs_never_import_each_other_except_nightly() -> None:
    jobs = {job.stem for job in ROOT.glob("jobs/*.py")}
    for job in ROOT.glob("jobs/*.py"):
        imported = {name for name in imports(job) if name.split(".")[0] in {*jobs, "jobs"}}
        assert job.stem == "nightly" or not imported, f"{job.name} imports {imported}"


def test_the_package_never_imports_a_job() -> None:
    jobs = {job.stem for job in ROOT.glob("jobs/*.py")} | {"jobs"}
    for source in LIB.rglob("*.py"):
        found = [name for name in imports(source) if name.split(".")[0] in jobs]
        assert not found, f"{source.relative_to(ROOT)} imports {found}"


def test_petastorm_and_horovod_are_each_imported_in_one_place_of_the_model() -> None:
    for package, owner in (("petastorm", "row_groups"), ("horovod", "distributed")):
        users = {
            source.relative_to(LIB / "model").parts[0].removesuffix(".py")
            for source in (LIB / "model").rglob("*.py")
            if package in {n.split(".")[0] for n in imports(source)}
        }
        assert users <= {owner}, f"{package} is imported by {users}, wanted {owner} alone"


def imports(source: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_the_version_stands_once_in_the_package_and_once_for_the_installer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert intentrec.__version__ == project["version"]


def test_the_lock_has_hashes_and_no_index_address() -> None:
    for lock in (ROOT / "deploy" / "requirements.lock", ROOT / "deploy" / "bootstrap.lock"):
        text = lock.read_text(encoding="utf-8")
        packages = re.findall(r"^[a-z0-9][\w.-]*==\S+ \\$", text, re.MULTILINE)
        assert packages
        assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text))
        assert "://" not in text
        assert "index-url" not in text


def test_the_lock_holds_every_declared_dependency() -> None:
    toml = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [
        re.split(r"[<>=\[; ]", text)[0].lower()
        for text in toml["project"]["dependencies"] + toml["dependency-groups"]["dev"]
    ]
    locked = set(re.findall(r"^([a-z0-9][\w.-]*)==", (ROOT / "deploy" / "requirements.lock").read_text(), re.MULTILINE))
    assert not set(declared) - locked


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("spark.sql(f'SELECT {x}')", 1),
        ("spark.sql('SELECT ' + x)", 1),
        ("spark.sql(text)", 1),
        ("text = f'DELETE FROM {x} WHERE y'", 1),
        ("spark.sql('SELECT * FROM t WHERE d = :day', args={'day': x})", 0),
        ("message = f'Delete the folder {x}'", 0),
        ("spark.sql(f'DROP TABLE {x}')  # noqa: S608 checked by is_catalog", 0),
        ("spark.sql(f'DROP TABLE {x}')  # noqa: S608", 1),
    ],
)
def test_the_check_for_sql_finds_what_it_should(code: str, wanted: int) -> None:
    assert len(set(sql_from_strings(code))) == wanted


def test_the_check_of_names_splits_them_into_words() -> None:
    assert words("BaseModelHelper") & BANNED == {"base", "helper"}
    assert not words("baseline_scores") & BANNED
