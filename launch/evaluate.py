"""Evaluate a workdir's model; the last line on stdout is one JSON object (schema v1).

python launch/evaluate.py --workdir=W --split=test --estimator=importance --num_samples=1000
python launch/evaluate.py --workdir='runs/*' --checkpoint=best,latest --output=D [--share=2/8]

Several workdirs or checkpoints give one JSON line each, and in the folder D one file each with the
NLL of every example beside it; what has its file there is not computed again. --share is this
task's part of an array of tasks; processes that have joined one run share the work by themselves.
"""

import json

from absl import flags

from rlvm.launch.flags import answer, define_folders, run


def main() -> None:
    """Evaluate one workdir or many."""
    from rlvm.jobs import batch_evaluation, processes
    from rlvm.jobs.evaluate import Request

    processes.join(patience=processes.APART)
    request = Request(
        split=SPLIT.value,
        estimator=ESTIMATOR.value,
        num_samples=NUM_SAMPLES.value,
        repeats=REPEATS.value,
        limit=LIMIT.value,
    )
    jobs = batch_evaluation.plan(batch_evaluation.expand(WORKDIR.value), CHECKPOINT.value, request)
    if len(jobs) == 1 and not SHARE.value:
        if processes.is_first():
            one(jobs[0])
        return
    if not OUTPUT.value or PER_EXAMPLE.value:
        raise ValueError(f"{len(jobs)} evaluations need --output=FOLDER, and no --per_example.")
    share = batch_evaluation.Share.parse(SHARE.value)
    for result in batch_evaluation.run(jobs, OUTPUT.value, share, DATA_DIR.value, MANUAL_DIR.value):
        print(json.dumps(result), flush=True)


def one(job) -> None:
    """Evaluate one workdir; --output and --per_example name files."""
    import numpy as np

    from rlvm.jobs.evaluate import evaluate

    result, per_example = evaluate(job.path, job.request, DATA_DIR.value, MANUAL_DIR.value)
    tenth = result["extra"].get("nll_nats_tenth_of_samples")
    if tenth is not None:
        print(f"NLL with {NUM_SAMPLES.value // 10} samples: {tenth:.4f} nats (biased upwards more)")
    answer(result, OUTPUT.value)
    if PER_EXAMPLE.value:
        np.savez_compressed(PER_EXAMPLE.value, **per_example)


if __name__ == "__main__":
    WORKDIR = flags.DEFINE_list("workdir", None, "Workdirs, or patterns with *.", required=True)
    CHECKPOINT = flags.DEFINE_list("checkpoint", ["best"], "best, latest or steps.")
    DATA_DIR, MANUAL_DIR = define_folders()
    SPLIT = flags.DEFINE_string("split", "test", "train, valid or test.")
    ESTIMATOR = flags.DEFINE_string(
        "estimator", "bound", "bound, importance, exact, particle_filter or guided_filter."
    )
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1000, "Importance samples, or particles.", 1)
    REPEATS = flags.DEFINE_integer("repeats", 10, "Repeats, for the Monte Carlo interval.", 1)
    LIMIT = flags.DEFINE_integer("limit", None, "Only the first N examples.", 1)
    OUTPUT = flags.DEFINE_string(
        "output", "", "Also write the JSON object here; of many, a folder."
    )
    SHARE = flags.DEFINE_string("share", "", "INDEX/COUNT of an array of tasks.")
    PER_EXAMPLE = flags.DEFINE_string(
        "per_example", "", "Write each example's NLL, and its label, to this .npz."
    )
    run(main)
