"""Where Horovod's build finds NCCL: the one of torch, which every rank has loaded anyway. Standard library only."""

from __future__ import annotations  # as in install.py

from pathlib import Path


def nccl_flags(venv: Path) -> dict[str, str]:
    """Return what Horovod's build reads of NCCL; a library without a version in its name is linked for it in ``venv``.

    Where torch was installed without NCCL, the build looks for one of the system.
    """
    flags = {"HOROVOD_GPU_OPERATIONS": "NCCL"}
    library = next(iter(sorted(venv.glob("lib/python*/site-packages/nvidia/nccl/lib/libnccl.so.*"))), None)
    if library is None:
        return flags
    link = venv / "nccl" / "libnccl.so"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    include = library.parents[1] / "include"
    places = {"HOROVOD_NCCL_INCLUDE": str(include), "HOROVOD_NCCL_LIB": str(link.parent)}
    return {**flags, **places, "HOROVOD_NCCL_LINK": "SHARED"}  # the wheel has no static library
