#!/usr/bin/env bash
# Train as N processes on this machine over loopback, as a pod of CPU devices would.
#
#   launch/local_pod.sh [--dry_run] N [--devices=2] FLAGS
#
# Runs launch/train.py with FLAGS in each; pass --config.parallel=sharded. A process that fails
# takes the others with it. --dry_run prints every command and runs none.
set -euo pipefail

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }

dry_run=false devices=2 count=""
while [ "$#" -gt 0 ]; do
  case "$1" in
    --dry_run) dry_run=true ;;
    --devices=*) devices="${1#*=}" ;;
    [1-9]*) count="$1" ;;
    *) break ;;
  esac
  shift
done
[ -n "$count" ] && [ "$#" -gt 0 ] || usage

python="${PYTHON:-python}"
port="$("$python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')"

# With fewer threads than devices the all-reduce of CPU devices can wait for itself: NPROC. On a busy
# machine one process may compile minutes longer than another, which XLA takes for a hang: XLA_FLAGS.
patience="--xla_cpu_collective_call_terminate_timeout_seconds=600"
patience+=" --xla_cpu_collective_timeout_seconds=600"
command=(env JAX_PLATFORMS=cpu "JAX_NUM_CPU_DEVICES=$devices" "NPROC=${NPROC:-16}"
         "XLA_FLAGS=$patience ${XLA_FLAGS:-}"
         "JAX_COORDINATOR_ADDRESS=127.0.0.1:$port" "JAX_NUM_PROCESSES=$count")

processes=()
for ((process = 0; process < count; process++)); do
  full=("${command[@]}" "JAX_PROCESS_ID=$process" "$python" -m rlvm.launch.train "$@")
  if $dry_run; then
    printf '%q ' "${full[@]}"; echo
  else
    "${full[@]}" &
    processes+=("$!")
  fi
done

# JAX's runtime takes SIGTERM as a notice of preemption: pass it on, and let them save.
leaving=false status=0
trap 'leaving=true; kill -TERM "${processes[@]}" 2>/dev/null || true' TERM INT
for _ in ${processes[@]+"${processes[@]}"}; do
  wait -n || status="$?"
  if $leaving; then status=0; break; fi
  [ "$status" -eq 0 ] || { kill -KILL "${processes[@]}" 2>/dev/null || true; break; }
done
wait
exit "$status"
