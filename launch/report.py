"""Join result lines into a Markdown table; with --readme, rewrite that file's generated section.

python launch/report.py --results=configs/darn/results.jsonl [--readme=README.md]
"""

import pathlib

from absl import flags

from rlvm.launch.flags import run


def main() -> None:
    """Report."""
    from rlvm.jobs import report

    path = RESULTS.value
    text = report.table(report.read_results(path), report.read_published(path))
    if README.value:
        readme = pathlib.Path(README.value)
        family = pathlib.Path(path).parent.name
        readme.write_text(report.update(readme.read_text(), family, text))
    print(text)


if __name__ == "__main__":
    RESULTS = flags.DEFINE_string("results", None, "A results.jsonl.", required=True)
    README = flags.DEFINE_string("readme", "", "A file with two marks <!-- results:FAMILY -->.")
    run(main)
