"""Evaluate a workdir's model; the last line on stdout is one JSON object (schema v1).

python launch/evaluate.py --workdir=W --split=test --estimator=importance --num_samples=1000
"""

import json
import pathlib

from absl import flags

from rlvm.launch.flags import define_checkpoint, define_folders, define_workdir, run


def main() -> None:
    """Evaluate."""
    import numpy as np

    from rlvm.jobs.evaluate import Request, evaluate

    request = Request(
        split=SPLIT.value,
        estimator=ESTIMATOR.value,
        num_samples=NUM_SAMPLES.value,
        repeats=REPEATS.value,
        limit=LIMIT.value,
        checkpoint=CHECKPOINT.value,
    )
    result, per_example = evaluate(WORKDIR.value, request, DATA_DIR.value, MANUAL_DIR.value)
    line = json.dumps(result)
    if OUTPUT.value:
        pathlib.Path(OUTPUT.value).write_text(line + "\n")
    if PER_EXAMPLE.value:
        np.savez_compressed(PER_EXAMPLE.value, **per_example)
    tenth = result["extra"].get("nll_nats_tenth_of_samples")
    if tenth is not None:
        print(f"NLL with {NUM_SAMPLES.value // 10} samples: {tenth:.4f} nats (biased upwards more)")
    print(line)


if __name__ == "__main__":
    WORKDIR, CHECKPOINT = define_workdir(), define_checkpoint()
    DATA_DIR, MANUAL_DIR = define_folders()
    SPLIT = flags.DEFINE_string("split", "test", "train, valid or test.")
    ESTIMATOR = flags.DEFINE_string(
        "estimator", "bound", "bound, importance, exact or particle_filter."
    )
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1000, "Importance samples, or particles.", 1)
    REPEATS = flags.DEFINE_integer("repeats", 10, "Repeats, for the Monte Carlo interval.", 1)
    LIMIT = flags.DEFINE_integer("limit", None, "Only the first N examples.", 1)
    OUTPUT = flags.DEFINE_string("output", "", "Also write the JSON object here.")
    PER_EXAMPLE = flags.DEFINE_string(
        "per_example", "", "Write each example's NLL, and its label, to this .npz."
    )
    run(main)
