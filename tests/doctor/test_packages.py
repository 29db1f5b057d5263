import pytest

from intentrec.doctor.packages import check_packages, check_python, installed


def test_what_is_installed_here_was_run_together():
    assert [finding.level for finding in check_packages(installed(), 2)] == ["PASS"]


@pytest.mark.parametrize(
    ("version", "level"),
    [((3, 10, 9), "FAIL"), ((3, 11, 0), "PASS"), ((3, 12, 3), "WARN"), ((3, 13, 0), "FAIL"), ((2, 7, 18), "FAIL")],
)
def test_the_python_of_the_lock_passes_and_the_one_that_databricks_has_is_a_warning(version, level):
    found = check_python(version)
    assert found.level == level
    assert ("not tested here" in found.found) == (level == "WARN")


@pytest.mark.parametrize(
    ("name", "version", "why"),
    [
        ("pyarrow", "10.0.1", "too old for pyspark 4"),
        ("pandas", "3.0.0", "removed names"),
        ("petastorm", "0.13.1", "setuptools"),
        ("pyspark", "4.1.4", "does not fit delta-spark"),
        ("delta-spark", "4.4.0", "does not fit pyspark"),
        ("pydantic", "1.10.2", "too old"),
    ],
)
def test_a_pair_that_is_known_to_break_fails(name, version, why):
    (found,) = check_packages({**installed(), name: version}, 2)
    assert (found.level, why in found.found) == ("FAIL", True)


def test_a_version_that_nobody_has_run_is_a_warning_and_horovod_is_not_needed_by_one_rank():
    (found,) = check_packages({**installed(), "torch": "2.14.0+cpu"}, 2)
    assert (found.level, found.found) == ("WARN", "not the versions that were run together: torch 2.14.0+cpu")
    assert [found.level for found in check_packages({**installed(), "horovod": None}, 1)] == ["PASS"]
