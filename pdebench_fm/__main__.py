"""`python -m pdebench_fm` is `pdefm`: what `torchrun -m pdebench_fm` starts in each process."""

import sys

from pdebench_fm.cli import main

sys.exit(main())
