"""Starts ranks that train together; the only importer of horovod. One rank needs none of it."""

from intentrec.model.distributed.launchers import Launch
from intentrec.model.distributed.launching import check_slots, launch

__all__ = ["Launch", "check_slots", "launch"]
