#!/usr/bin/env bash
# Trains a model by its published recipe: bash scripts/train.sh ResNet50_vd [key=value ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -eq 0 ] || [[ "$1" == -* ]]; then
    echo "usage: bash scripts/train.sh <recipe> [key=value ...]   recipes are the files of conf/experiment" >&2
    exit 2
fi
python=.venv/bin/python
[ -x "$python" ] || python=python3
recipe="${1,,}"
shift
exec "$python" -m imgcls.train experiment="$recipe" "$@"
