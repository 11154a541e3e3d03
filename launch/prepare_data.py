"""Prepare a data set, so that later runs open it at once (and offline).

python launch/prepare_data.py --dataset=connect4 --data_dir=D [--manual_dir=M]
"""

from absl import flags

from rlvm.launch.flags import define_folders, run


def main() -> None:
    """Prepare it."""
    from rlvm.data.dataset import default_data_dir
    from rlvm.jobs.prepare_data import prepare

    prepare(DATASET.value, DATA_DIR.value or default_data_dir(), MANUAL_DIR.value)


if __name__ == "__main__":
    DATASET = flags.DEFINE_string("dataset", None, "connect4, mnist/static, ...", required=True)
    DATA_DIR, MANUAL_DIR = define_folders()
    run(main)
