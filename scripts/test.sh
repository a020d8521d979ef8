#!/usr/bin/env bash
# Installs what the tests need into .venv and runs them on every core; arguments go to pytest (--full for every model,
# -n 0 for one process).
# With --dali as the first argument, NVIDIA DALI too (about 500 MB), and the tests of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

extras=cpu,test
if [ "${1:-}" = --dali ]; then
    extras+=,dali
    shift
fi
make_environment "$extras"
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder "$@"
