"""Train again on train and validation together, by the schedule that a first run's validation set.

python launch/retrain.py --first=W --workdir=W2      (the checkpoint to use is the latest)
"""

from absl import flags

from rlvm.launch.flags import define_folders, define_workdir, run


def main() -> None:
    """Train again."""
    from rlvm.jobs.retrain import retrain

    retrain(FIRST.value, WORKDIR.value, DATA_DIR.value, MANUAL_DIR.value)


if __name__ == "__main__":
    WORKDIR = define_workdir()
    DATA_DIR, MANUAL_DIR = define_folders()
    FIRST = flags.DEFINE_string("first", None, "The workdir of the first run.", required=True)
    run(main)
