#!/usr/bin/env bash
# The first evaluation: installs the package if needed, then scores the model in the box, adapted with 32 samples.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
active="${VIRTUAL_ENV:-}"
install_into_environment ""
pdefm eval --model fno-mixed-64k --task poisson-ood/medium --shots 32 --track lite "$@"
[ -n "$active" ] || echo "to use pdefm in this shell: . $PWD/.venv/bin/activate"
