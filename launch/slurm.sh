#!/usr/bin/env bash
# Train on a SLURM cluster: one process a task, the same command in each.
#
#   launch/slurm.sh [--dry_run] [--nodes=1] [--tasks_per_node=1] [--time=24:00:00] [--grace=120]
#                   [--sbatch=OPTION]... -- FLAGS
#
# Submits a job that runs launch/train.py with FLAGS; inside an allocation it calls srun at once.
# --grace seconds before its end the job is signalled, saves and leaves; a preempted one is queued
# again by SLURM, and any other resumes when the same command is given again. --workdir must lie
# where every node sees it. --sbatch=--gres=gpu:8 passes an option on.
# --dry_run prints every command and runs none.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }
fail() { echo "error: $*" >&2; exit 2; }

nodes=1 tasks_per_node=1 time=24:00:00 grace=120 dry_run=false options=() train_flags=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --nodes=*) nodes="${1#*=}" ;;
    --tasks_per_node=*) tasks_per_node="${1#*=}" ;;
    --time=*) time="${1#*=}" ;;
    --grace=*) grace="${1#*=}" ;;
    --sbatch=*) options+=("${1#*=}") ;;
    --dry_run) dry_run=true ;;
    --) shift; train_flags=("$@"); break ;;
    *) usage ;;
  esac
  shift
done
[ "${#train_flags[@]}" -gt 0 ] || fail "Pass the flags of launch/train.py after --."

execute() {  # run a command, or print it
  if $dry_run; then printf '%q ' "$@"; echo; else "$@"; fi
}

step=(srun "--nodes=$nodes" "--ntasks-per-node=$tasks_per_node" --kill-on-bad-exit=1
      "${PYTHON:-python}" -m rlvm.launch.train "${train_flags[@]}")

if [ -n "${SLURM_JOB_ID:-}" ]; then
  execute "${step[@]}"
else
  execute sbatch --job-name=rlvm "--nodes=$nodes" "--ntasks-per-node=$tasks_per_node" \
    "--time=$time" --requeue "--signal=TERM@$grace" ${options[@]+"${options[@]}"} \
    --wrap="$(printf '%q ' "${step[@]}")"
fi
