#!/usr/bin/env bash
# Installs what the tests need into .venv and runs them; arguments go to pytest (--full for every model).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

make_environment cpu,test
exec .venv/bin/python -m pytest "$@"
