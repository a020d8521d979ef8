#!/bin/bash
# One training over the machines of a SLURM job; what follows the name of this file is for imgcls.train:
#   sbatch --nodes=2 --gpus-per-node=8 --cpus-per-task=64 scripts/slurm_job.sh run.name=big trainer.gpus=8
# It saves two minutes before its time is over, or when it has to give way, and goes on when it is its turn again.
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

export MASTER="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):$((20000 + SLURM_JOB_ID % 10000))"

# --wait: when one machine is gone, the others do not wait for it longer than a save takes.
srun ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} --wait=60 bash -c '
    exec python -m imgcls.train "$@" trainer.resume=auto \
        trainer.nodes="$SLURM_NTASKS" trainer.node_rank="$SLURM_PROCID" trainer.master="$MASTER"
' task "$@"
status=$?

if [ "$status" = 143 ]; then # saved, and asked to stop: not by scancel, which ends this script as well
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
