import io

from rich.console import Console

from intentrec.doctor.display import show
from intentrec.doctor.findings import failed, passed

FINDINGS = [passed("java", "17"), failed("ports", "port 1 is taken", "take [another]")]


def test_piped_each_check_is_one_plain_line():
    file = io.StringIO()
    show(FINDINGS, Console(file=file))
    assert file.getvalue().splitlines() == [
        "PASS java: 17",
        "FAIL ports: port 1 is taken. What to do: take [another]",
        "1 PASS, 0 WARN, 1 FAIL",
    ]


def test_on_a_terminal_it_is_a_table_and_brackets_are_no_markup():
    file = io.StringIO()
    show(FINDINGS, Console(file=file, force_terminal=True, width=100, color_system=None))
    text = file.getvalue()
    assert "what to do" in text
    assert "take [another]" in text
    assert "│" in text
