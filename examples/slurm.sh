#!/bin/bash
# Trains on all GPUs of several nodes under Slurm:
#
#   sbatch examples/slurm.sh --flagfile=recipes/imagenet_irevnet301.flags \
#       --run_dir=/shared/runs/imagenet --data_dir=/shared/tensorflow_datasets
#
# One task for each node; irevnet-train finds the other nodes through Slurm's
# own variables, so there is no TF_CONFIG. The run directory and the data must
# be on a file system that all nodes share.
#
# Not run on a cluster by the authors of this template: adapt partition,
# account and modules to yours.
#SBATCH --job-name=irevnet
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
# SIGTERM two minutes before the time is over: irevnet-train then writes a
# checkpoint and ends with status 75.
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

# srun gives its tasks one core each unless told.
srun --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    irevnet-train --strategy=multi_worker --checkpoint_steps=500 "$@"
status=$?

# What srun returns is the highest status of a task. 75: asked to end; 76: a
# worker was lost; 137: one was killed. The same command continues. 1 needs
# somebody to look at it: all workers end with 1 then.
case $status in
75 | 76 | 137)
    if [[ ${SLURM_RESTART_COUNT:-0} -lt 100 ]]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit $status
