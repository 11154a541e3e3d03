"""Train a DARN and an FVSBN on Connect-4, compare them, draw samples: what `make demo` runs.

python launch/demo.py --output=demo
"""

import json

from absl import flags

from rlvm.launch.flags import run


def main() -> None:
    """Demo."""
    from rlvm.jobs.demo import Size, demo

    size = Size(DARN_STEPS.value, FVSBN_STEPS.value, EXAMPLES.value, NUM_SAMPLES.value)
    table, result = demo(OUTPUT.value, size, DATA_DIR.value)
    print(f"\n{table}\n\nPictures: {OUTPUT.value}/samples.png, {OUTPUT.value}/curves.png\n")
    print(json.dumps(result))


if __name__ == "__main__":
    OUTPUT = flags.DEFINE_string("output", "demo", "Folder of the runs and pictures.")
    DATA_DIR = flags.DEFINE_string("data_dir", None, "Prepared data; $RLVM_DATA or ~/.cache.")
    DARN_STEPS = flags.DEFINE_integer("darn_steps", 25_000, "Training steps of the DARN.", 1)
    FVSBN_STEPS = flags.DEFINE_integer("fvsbn_steps", 8_000, "Training steps of the FVSBN.", 1)
    EXAMPLES = flags.DEFINE_integer("examples", 5_000, "Test examples to evaluate.", 1)
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 200, "Importance samples.", 1)
    run(main)
