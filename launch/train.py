"""Train a config into a workdir; rerun the same command to resume.

python launch/train.py --config=configs/darn/connect4.py --workdir=runs/connect4
python launch/train.py --config=configs/darn/arrays.py --config.data.path=my.npz --workdir=W

On many hosts run the same command on each; launch/tpu_pod.sh and launch/slurm.sh do. Elsewhere set
JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID; a pod of an indexed Kubernetes job
has its number already.
"""

from absl import flags

from rlvm.launch.flags import define_config, define_folders, define_workdir, run


def main() -> None:
    """Train."""
    from rlvm.jobs import processes
    from rlvm.jobs.train import train

    processes.join(DISTRIBUTED.value)
    train(
        CONFIG.value,
        WORKDIR.value,
        DATA_DIR.value,
        MANUAL_DIR.value,
        profile=PROFILE.value,
        draw=True,
    )


if __name__ == "__main__":
    CONFIG, WORKDIR = define_config(), define_workdir()
    DATA_DIR, MANUAL_DIR = define_folders()
    DISTRIBUTED = flags.DEFINE_boolean(
        "distributed", None, "Join other processes; by default where the environment tells of them."
    )
    PROFILE = flags.DEFINE_boolean("profile", False, "Trace some steps for TensorBoard's profiler.")
    run(main)
