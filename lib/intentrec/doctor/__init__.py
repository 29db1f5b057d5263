"""Is everything there that a night needs: PASS, WARN or FAIL with the remedy for each."""

from intentrec.doctor.command import run_doctor
from intentrec.doctor.examination import examine
from intentrec.doctor.findings import Finding

__all__ = ["Finding", "examine", "run_doctor"]
