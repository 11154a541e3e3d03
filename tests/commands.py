"""Commands run as a user types them: what the tests of launch/ share."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SMALL = "--config=tests/small_config.py"


def command(environment, *arguments, cwd=ROOT):
    """Run `python *arguments`, in the checkout."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment
    )


def train_arguments(own_file, workdir, *more):
    return [
        "launch/train.py",
        SMALL,
        f"--config.data.path={own_file}",
        f"--workdir={workdir}",
        *more,
    ]


def assert_one_line(done, *words):
    """Status 2, nothing on stdout, and one line on stderr that holds all `words`."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2 and done.stdout == ""
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for word in words:
        assert word in lines[0]
