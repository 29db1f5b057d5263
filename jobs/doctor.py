"""Before a cluster is paid for: is everything there that a night needs? And a first config for unknown logs."""

import sys

from intentrec.doctor import run_doctor

if __name__ == "__main__":
    sys.exit(run_doctor())
