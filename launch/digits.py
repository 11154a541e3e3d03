"""Which digits a model of MNIST draws: KL(classes || uniform); the last line on stdout is JSON.

python launch/digits.py --workdir=W --classifier=C.msgpack --num_samples=10000 [--arrays=D.npz]

The classifier is trained into the file C first, where there is none (minutes).
"""

import numpy as np
from absl import flags

from rlvm.launch.flags import answer, define_checkpoint, define_folders, define_workdir, run


def main() -> None:
    """Draw, classify and count."""
    from rlvm.jobs import digit_classes

    folders = (DATA_DIR.value, MANUAL_DIR.value)
    params = digit_classes.open_classifier(CLASSIFIER.value, NUM_STEPS.value, *folders)
    result, arrays = digit_classes.measure(
        WORKDIR.value, params, NUM_SAMPLES.value, CHECKPOINT.value, *folders
    )
    if ARRAYS.value:
        np.savez_compressed(ARRAYS.value, **arrays)
    answer(result, OUTPUT.value)


if __name__ == "__main__":
    WORKDIR, CHECKPOINT = define_workdir(), define_checkpoint()
    DATA_DIR, MANUAL_DIR = define_folders()
    CLASSIFIER = flags.DEFINE_string("classifier", None, "File of the classifier.", required=True)
    NUM_STEPS = flags.DEFINE_integer("num_steps", 6000, "Updates of a classifier not yet there.", 1)
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 10_000, "Samples to classify.", 1)
    ARRAYS = flags.DEFINE_string("arrays", "", "Write counts and some samples to this .npz.")
    OUTPUT = flags.DEFINE_string("output", "", "Also write the JSON object here.")
    run(main)
