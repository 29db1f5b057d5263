import numpy as np
import pytest

from intentrec.starter.gaps import find_gap
from intentrec.starter.plot import write_gap_plot


@pytest.mark.parametrize("num_pauses", [0, 500])
def test_a_plot_is_a_png_even_without_pauses(tmp_path, num_pauses):
    write_gap_plot(find_gap(np.full(num_pauses, 60.0), 1e6), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
