"""README's tables are the stored results, and its commands name files that exist."""

import pathlib
import re

import pytest

from rlvm.jobs import report

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FAMILIES = sorted(path.parent.name for path in ROOT.glob("configs/*/results.jsonl"))


def test_there_are_results():
    assert "darn" in FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_table_is_generated_from_the_results(family):
    path = str(ROOT / f"configs/{family}/results.jsonl")
    expected = report.text(report.read_results(path), path)
    assert report.section(README, family).strip() == expected.strip()


def test_commands_name_files_that_exist():
    for name in re.findall(r"(?:launch|configs|tests)/[\w/]+\.(?:py|ipynb|sh)", README):
        assert (ROOT / name).exists(), name
