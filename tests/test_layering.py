"""The arrows between the rooms, and what may be imported where."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ROOMS = {
    "data": {"data"},
    "nn": {"nn"},
    "models": {"models", "nn"},
    "inference": {"inference"},
    "training": {"training", "inference"},
    "jobs": {"jobs", "training", "inference", "models", "nn", "data"},
}
MODULES = {
    path.relative_to(ROOT): path
    for folder in ("rlvm", "launch", "configs")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
LIBRARY = {name: path for name, path in MODULES.items() if name.parts[0] == "rlvm"}
ROOMS["jobs"] |= {
    name.stem for name in LIBRARY if len(name.parts) == 2
}  # such as what an export is


def imported(path: pathlib.Path) -> set[str]:
    """Dotted names of everything a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def rooms_of(names: set[str]) -> set[str]:
    """The rooms of rlvm among dotted names."""
    parts = [name.split(".") for name in names if name.startswith("rlvm.")]
    return {part[1] for part in parts} - {"types"}


def test_the_modules_are_found():
    assert len(LIBRARY) > 30 and pathlib.Path("rlvm/models/darn.py") in LIBRARY
    assert rooms_of(imported(ROOT / "rlvm/jobs/train.py")) == {"data", "jobs", "training"}


@pytest.mark.parametrize("name", [n for n in LIBRARY if len(n.parts) > 2], ids=str)
def test_rooms_import_only_what_they_may(name):
    room = name.parts[1]
    assert rooms_of(imported(LIBRARY[name])) <= ROOMS[room]


def test_every_room_is_known():
    rooms = {p.name for p in (ROOT / "rlvm").iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms == set(ROOMS)


def test_the_library_knows_no_flags_no_commands_and_no_configs():
    for name, path in LIBRARY.items():
        names = imported(path)
        assert not any(n.startswith("absl.flags") or n == "absl.app" for n in names), name
        assert not rooms_of(names) & {"launch", "configs"}, name


def test_one_module_imports_distrax():
    def imports_it(path):
        return any(n.split(".")[0] in ("distrax", "tensorflow_probability") for n in imported(path))

    found = [str(name) for name, path in MODULES.items() if imports_it(path)]
    assert found == ["rlvm/models/distributions.py"]


def test_no_module_is_a_drawer_for_everything():
    names = {name.stem for name in LIBRARY}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_importing_rlvm_is_quick_and_does_not_import_jax():
    code = (
        "import sys, time; t = time.process_time(); import rlvm; "
        "print(time.process_time() - t, 'jax' in sys.modules, dir(rlvm).count('load'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    seconds, has_jax, has_load = done.stdout.split()
    assert float(seconds) < 0.3 and has_jax == "False" and has_load == "1"


def test_rlvm_has_no_other_names():
    import rlvm

    with pytest.raises(AttributeError, match="module 'rlvm' has no attribute 'lod'"):
        rlvm.lod  # noqa: B018
