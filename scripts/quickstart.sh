#!/usr/bin/env bash
# From nothing to a served model on the bundled photos: install, train, evaluate, export, predict.
# Running it again reuses what is there; FRESH=1 trains anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

make_environment cpu
python=.venv/bin/python
run=outputs/quickstart
photo=imgcls/assets/sample_photos/val/fish/$(ls imgcls/assets/sample_photos/val/fish | head -n 1)
if [ "${FRESH:-0}" = 1 ]; then rm -rf "$run" "$run-eval" "$run-export"; fi

echo "== train the last layer of SqueezeNet 1.1 on the 85 training photos"
$python -m imgcls.train run.name=quickstart trainer.resume=auto

echo "== evaluate the best checkpoint on the 36 validation photos"
$python -m imgcls.eval eval.source="$run" run.name=quickstart-eval

echo "== export it"
$python -m imgcls.export export.source="$run" export.dir="$run-export"

echo "== predict $photo in a process that cannot import imgcls"
$python scripts/clients/without_imgcls.py scripts/clients/jit_client.py "$run-export" "$photo"

echo
echo "curves:           $run/curves.png"
echo "confusion matrix: $run-eval/confusion_matrix.png"
echo "checkpoints:      $run/checkpoints"
echo "exported model:   $run-export"
