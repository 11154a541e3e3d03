"""Export a function of a workdir's model to one file, for `rlvm.load_exported`.

python launch/export.py --workdir=W --function=sample|log_prob|encode|reconstruct \
    --platforms=cpu,cuda,tpu --output=F
"""

from absl import flags

from rlvm.launch.flags import define_checkpoint, define_workdir, run


def main() -> None:
    """Export."""
    from rlvm.jobs import export, load

    model = load.load(WORKDIR.value, CHECKPOINT.value)
    manifest = export.export_function(
        model, FUNCTION.value, OUTPUT.value, PLATFORMS.value, NUM_SAMPLES.value
    )
    taken = [field["name"] for field in manifest["inputs"]] or "a number of rows"
    print(f"{OUTPUT.value}: {FUNCTION.value} of {taken} for {', '.join(manifest['platforms'])}")


if __name__ == "__main__":
    WORKDIR, CHECKPOINT = define_workdir(), define_checkpoint()
    FUNCTION = flags.DEFINE_string(
        "function", None, "sample, log_prob, encode or reconstruct.", required=True
    )
    PLATFORMS = flags.DEFINE_list("platforms", "cpu,cuda,tpu", "cpu, cuda, rocm, tpu.")
    NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1000, "Importance samples of log_prob.", 1)
    OUTPUT = flags.DEFINE_string("output", None, "The file to write.", required=True)
    run(main)
