"""Compare two models on the same examples; the last line on stdout is JSON.

python launch/evaluate.py --workdir=A --per_example=A.npz      (and B, and their other seeds)
python launch/compare.py --left=A.npz --right=B.npz [--output=C.json]

Each side may list the files of several seeds. The interval is a paired bootstrap over the labels of
the examples (a sensor, a flight), or over the examples where they have none.
"""

from absl import flags

from rlvm.launch.flags import answer, run


def main() -> None:
    """Compare."""
    from rlvm.jobs.compare import compare

    answer(compare(LEFT.value, RIGHT.value, TITLE.value), OUTPUT.value)


if __name__ == "__main__":
    LEFT = flags.DEFINE_list("left", None, "Files of --per_example, one a seed.", required=True)
    RIGHT = flags.DEFINE_list("right", None, "The same of the other model.", required=True)
    TITLE = flags.DEFINE_string("title", "", "What is compared, for a line of comparisons.jsonl.")
    OUTPUT = flags.DEFINE_string("output", "", "Also write the JSON object here.")
    run(main)
