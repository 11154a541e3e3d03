#!/usr/bin/env bash
# Train on a Cloud TPU pod: the same command on every worker, again after each preemption.
#
#   launch/tpu_pod.sh [--dry_run] --name=N --zone=Z --type=v5litepod-16 [options] ACTION [-- FLAGS]
#
# ACTION   create   make the pod
#          copy     put this commit on every worker and install it
#          run      launch/train.py with FLAGS on every worker; when the pod was preempted, a new one
#                   is made and the same command resumes from its --workdir (a gs:// folder)
#          delete   give the pod back
#          all      these four in order; the pod is given back however the run ends
# options  --version=tpu-ubuntu2204-base  --project=P  --spot  --max_restarts=10
# --dry_run prints every command and runs none.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }
fail() { echo "error: $*" >&2; exit 2; }

name="" zone="" type="" version="tpu-ubuntu2204-base" project="" max_restarts=10
spot=false dry_run=false action="" train_flags=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --name=*) name="${1#*=}" ;;
    --zone=*) zone="${1#*=}" ;;
    --type=*) type="${1#*=}" ;;
    --version=*) version="${1#*=}" ;;
    --project=*) project="${1#*=}" ;;
    --max_restarts=*) max_restarts="${1#*=}" ;;
    --spot) spot=true ;;
    --dry_run) dry_run=true ;;
    --) shift; train_flags=("$@"); break ;;
    create|copy|run|delete|all) action="$1" ;;
    *) usage ;;
  esac
  shift
done
[ -n "$action" ] || usage
[ -n "$name" ] && [ -n "$zone" ] || fail "--name and --zone are required."

root="$(cd "$(dirname "$0")/.." && pwd)"
archive="${TMPDIR:-/tmp}/rlvm-$name.tar.gz"
where=("--zone=$zone")
[ -z "$project" ] || where+=("--project=$project")

execute() {  # run a command, or print it
  if $dry_run; then printf '%q ' "$@"; echo; else "$@"; fi
}

tpu() { execute gcloud compute tpus tpu-vm "$@" "${where[@]}"; }

create() {
  [ -n "$type" ] || fail "--type is required to create a pod."
  local options=("--accelerator-type=$type" "--version=$version")
  ! $spot || options+=("--spot")
  tpu create "$name" "${options[@]}"
}

copy() {
  execute git -C "$root" archive --format=tar.gz --output="$archive" HEAD
  tpu scp "$archive" "$name:rlvm.tar.gz" --worker=all
  tpu ssh "$name" --worker=all --command="set -e; \
sudo apt-get -qq install -y python3.11-venv; rm -rf rlvm; mkdir rlvm; \
tar -xzf rlvm.tar.gz -C rlvm; python3.11 -m venv venv; \
venv/bin/pip install --quiet --constraint rlvm/constraints.txt ./rlvm 'jax[tpu]'"
}

train() {
  local flags=""
  [ "${#train_flags[@]}" -eq 0 ] || flags="$(printf ' %q' "${train_flags[@]}")"
  tpu ssh "$name" --worker=all \
    --command="venv/bin/python -m rlvm.launch.train --distributed$flags"
}

delete() { tpu delete "$name" --quiet; }

renew() { delete || true; create; copy; }

state() {  # READY, PREEMPTED, ...; GONE where there is no such pod
  gcloud compute tpus tpu-vm describe "$name" "${where[@]}" --format='value(state)' 2>/dev/null \
    || echo GONE
}

check_workdir() {
  local flag
  for flag in ${train_flags[@]+"${train_flags[@]}"}; do
    case "$flag" in --workdir=gs://*) return ;; esac
  done
  fail "run needs a --workdir=gs://... after --: the pod's own disks are lost with it."
}

run() {
  local restarts
  if $dry_run; then
    train
    echo "# after a preemption, up to $max_restarts times:"
    renew
    train
    return
  fi
  for ((restarts = 0; ; restarts++)); do
    if train; then return; fi
    case "$(state)" in
      PREEMPTED|TERMINATED|GONE) ;;
      *) echo "error: training failed on a pod that is there." >&2; return 1 ;;
    esac
    if [ "$restarts" -ge "$max_restarts" ]; then
      echo "error: preempted more than $max_restarts times." >&2
      return 1
    fi
    echo "The pod was preempted; resuming on a new one." >&2
    renew
  done
}

case "$action" in
  run) check_workdir; run ;;
  all)
    check_workdir
    trap delete EXIT
    create
    copy
    run
    ;;
  *) "$action" ;;
esac
