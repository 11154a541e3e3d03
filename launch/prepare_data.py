"""Prepare a data set, so that later runs open it at once (and offline).

python launch/prepare_data.py --dataset=connect4 --data_dir=D [--manual_dir=M]
"""

from absl import app, flags

from rlvm.data.dataset import default_data_dir
from rlvm.jobs.prepare_data import prepare

_DATASET = flags.DEFINE_string("dataset", None, "connect4, mnist/static, ...", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", default_data_dir(), "where prepared sets are kept")
_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "folder of files that you provide")


def main(argv: list[str]) -> None:
    """Prepare the set that the flags name."""
    del argv
    prepare(_DATASET.value, _DATA_DIR.value, _MANUAL_DIR.value)


if __name__ == "__main__":
    app.run(main)
