#!/usr/bin/env bash
# Installs the package with what its tests need, then runs them; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
install_into_environment "[test,distributed]"
python -m pytest --whole --numprocesses 2 --dist loadscope --no-loadscope-reorder "$@"
