"""Horovod's build is pointed to the NCCL that torch has brought; nothing is built here."""

import importlib.util
from pathlib import Path

NCCL = Path(__file__).resolve().parents[2] / "deploy" / "nccl.py"


def flags_of(venv: Path) -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("nccl_under_test", NCCL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, str] = module.nccl_flags(venv)
    return found


def test_without_torchs_own_the_build_looks_for_one_of_the_system(tmp_path: Path) -> None:
    assert flags_of(tmp_path) == {"HOROVOD_GPU_OPERATIONS": "NCCL"}


def test_torchs_own_is_linked_under_the_name_that_the_build_looks_for(tmp_path: Path) -> None:
    wheel = tmp_path / "lib" / "python3.11" / "site-packages" / "nvidia" / "nccl"
    (wheel / "lib").mkdir(parents=True)
    (wheel / "lib" / "libnccl.so.2").write_text("torch's")
    for _ in range(2):  # the link may be there
        found = flags_of(tmp_path)
    assert found == {
        "HOROVOD_GPU_OPERATIONS": "NCCL",
        "HOROVOD_NCCL_INCLUDE": str(wheel / "include"),
        "HOROVOD_NCCL_LIB": str(tmp_path / "nccl"),
        "HOROVOD_NCCL_LINK": "SHARED",
    }
    assert (tmp_path / "nccl" / "libnccl.so").read_text() == "torch's"
