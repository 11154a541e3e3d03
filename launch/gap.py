"""Measure what a state-space model's posterior leaves of log p(x); the last line is JSON.

python launch/gap.py --workdir=W --split=test --num_samples=1000 --num_particles=1000 \
    --num_steps=5000 [--output=G.json]
"""

from absl import flags

from rlvm.launch.flags import answer, define_checkpoint, define_folders, define_workdir, run


def main() -> None:
    """Measure the gap."""
    from rlvm.jobs import gap as job

    request = job.Request(
        split=SPLIT.value,
        num_samples=NUM_SAMPLES.value,
        num_particles=NUM_PARTICLES.value,
        repeats=REPEATS.value,
        num_steps=NUM_STEPS.value,
        limit=LIMIT.value,
        checkpoint=CHECKPOINT.value,
    )
    answer(job.gap(WORKDIR.value, request, DATA_DIR.value, MANUAL_DIR.value), OUTPUT.value)


if __name__ == "__main__":
    WORKDIR, CHECKPOINT = define_workdir(), define_checkpoint()
    DATA_DIR, MANUAL_DIR = define_folders()
    SPLIT = flags.DEFINE_string("split", "test", "train, valid or test.")
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1000, "Importance samples.", 1)
    NUM_PARTICLES = flags.DEFINE_integer("num_particles", 1000, "Particles of the filter.", 1)
    REPEATS = flags.DEFINE_integer("repeats", 3, "Repeats of every estimate.", 1)
    NUM_STEPS = flags.DEFINE_integer("num_steps", 5000, "Updates of the refitted posterior.", 1)
    LIMIT = flags.DEFINE_integer("limit", None, "Only the first N sequences.", 1)
    OUTPUT = flags.DEFINE_string("output", "", "Also write the JSON object here.")
    run(main)
