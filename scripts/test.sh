#!/usr/bin/env bash
# Installs what the tests need into .venv and runs them on every core; arguments go to pytest (--full for every model,
# -n 0 for one process).
# With --peers as the first argument: torchvision, timm and PaddleClas into .venv-peers (some 5 GB), and every network
# whose weights are exactly ours against them; arguments go to pytest (-k densenet).
# With --dali as the first argument, NVIDIA DALI too (about 500 MB), and the tests of it.
# With --paddle3, all of it beside PaddlePaddle 3 in an environment of its own, .venv3; with --paddle3-part, the files
# below, which is what CI runs there. Where there is no PaddlePaddle 3 for this machine, the part is left out, loudly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

PART=(
    tests/machine/test_installation.py     # which versions go together
    tests/machine/test_paddle_internals.py # private names
    tests/machine/test_paddle_graphs.py    # of graphs
    tests/models/test_layer_norm.py        # gradients that both compute wrongly
    tests/models/test_views.py             # operators without views
    tests/engine/test_trainer.py           # the loop, evaluation, accumulation
    tests/engine/test_amp.py               # the loss scaler
    tests/deploy/test_both_paddles.py      # exports of the one under the other
    tests/commands/test_resume_across_paddles.py # runs of the one go on under the other
    tests/deploy/test_exporter.py          # exports, reloaded in each engine
)

extras=cpu,test directory=.venv
case "${1:-}" in
    --dali)
        extras+=,dali
        shift
        ;;
    --paddle3)
        extras=cpu3,test3 directory=.venv3
        shift
        ;;
    --paddle3-part)
        extras=cpu3,test3 directory=.venv3
        shift
        set -- "${PART[@]}" "$@"
        wanted=$(sed -n 's/^ *\(paddlepaddle==3.*\)$/\1/p' setup.cfg)
        make_empty_environment "$directory"
        if ! "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "$wanted"; then
            printf '!!! %s\n' "" "There is no $wanted for this machine: NOTHING WAS TESTED ON IT." "" >&2
            exit 0
        fi
        ;;
esac
make_environment "$extras" "$directory"
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
# Hundreds of processes start: compiled files are kept, whatever the caller's shell says.
unset PYTHONDONTWRITEBYTECODE
# One worker more than there are cores, since tests wait for processes that they start. One that crashes ends the run,
# with what has failed so far: after a new one in its place pytest-xdist may wait for ever.
workers=$(($(nproc) + 1))
exec "$directory/bin/python" -m pytest -n "$((workers < 8 ? workers : 8))" --max-worker-restart 0 --dist loadfile \
    --no-loadscope-reorder "$@"
