#!/usr/bin/env bash
# Installs what the tests need into .venv and runs them on every core; arguments go to pytest (--full for every model,
# -n 0 for one process).
# With --peers as the first argument: torchvision, timm and PaddleClas into .venv-peers (some 5 GB), and every network
# whose weights are exactly ours against them; arguments go to pytest (-k densenet).
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
if [ "${1:-}" = --peers ]; then
    shift
    [ -x .venv-peers/bin/python ] || .venv/bin/python -m venv .venv-peers
    .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r scripts/peers.txt
    .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps paddleclas==2.6.0
    IMGCLS_PEERS_PYTHON="$PWD/.venv-peers/bin/python"
    IMGCLS_PEERS_SITE="$("$IMGCLS_PEERS_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    export IMGCLS_PEERS_PYTHON IMGCLS_PEERS_SITE
    exec .venv/bin/python -m pytest --full tests/peers "$@"
fi
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder "$@"
