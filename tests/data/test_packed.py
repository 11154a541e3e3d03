import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlvm.data import packed

SPLITS = {"train": {"x": np.eye(3, dtype=np.uint8), "lengths": np.arange(3, dtype=np.int32)}}


def write(folder, splits=SPLITS):
    packed.write(folder, splits, name="a/b", kind="binary", binarize=False)


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "p")
    index = packed.read(tmp_path / "p")
    assert {k: index[k] for k in ("name", "kind", "binarize")} == {
        "name": "a/b",
        "kind": "binary",
        "binarize": False,
    }
    for name, array in SPLITS["train"].items():
        read = index["splits"]["train"][name]
        assert isinstance(read, np.memmap) and read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)
        with pytest.raises(ValueError, match="read-only"):
            read[0] = 0


def test_content_hash_is_what_its_docstring_says():
    x, lengths = SPLITS["train"]["x"], SPLITS["train"]["lengths"]
    text = b"lengths <i4 (3,)\n" + lengths.tobytes() + b"x |u1 (3, 3)\n" + x.tobytes()
    assert packed.content_hash(SPLITS["train"]) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.eye(3, dtype=np.int8)},
        {"x": np.eye(3, dtype=np.uint8).reshape(9)},
        {"y": np.ones(1)},
    ],
)
def test_content_hash_tells_apart(change):
    assert packed.content_hash(SPLITS["train"] | change) != packed.content_hash(SPLITS["train"])


def test_content_hash_does_not_depend_on_the_layout_in_memory():
    x = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert packed.content_hash({"x": np.asfortranarray(x)}) == packed.content_hash({"x": x})


@pytest.mark.parametrize("damage", ["cut", "gone", "other", "index"])
def test_damage_is_one_clear_line(tmp_path, damage):
    folder = tmp_path / "p"
    write(folder)
    array = folder / "train.x.npy"
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-1])
    elif damage == "gone":
        array.unlink()
    elif damage == "other":
        np.save(array, np.eye(4, dtype=np.uint8))
    else:
        (folder / "index.json").write_text('{"splits": {"train"')
    with pytest.raises(ValueError) as error:
        packed.read(folder)
    assert str(error.value) == f"{folder} is damaged: delete this folder and prepare it again"


def test_staging_removes_what_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt), packed.staging(tmp_path / "d") as folder:
        write(folder / "p")
        raise KeyboardInterrupt
    assert not list((tmp_path / "d").iterdir())


def test_unwritable_data_dir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write to data_dir .*file"):
        with packed.staging(tmp_path / "file"):
            pass


def test_the_first_whole_copy_stays(tmp_path):
    target = tmp_path / "target"
    for content in (0, 1):
        with packed.staging(tmp_path) as folder:
            write(folder / "p", {"train": {"x": np.full(3, content)}})
            packed.publish(folder / "p", target)
    np.testing.assert_array_equal(packed.read(target)["splits"]["train"]["x"], 0)
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_whole_is_replaced(tmp_path):
    target = tmp_path / "target"
    write(target)
    (target / "index.json").unlink()
    with packed.staging(tmp_path) as folder:
        write(folder / "p")
        packed.publish(folder / "p", target)
    packed.read(target)
    assert list(tmp_path.iterdir()) == [target]


SLOW_WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from rlvm.data import packed

save = np.save

def slow_save(*args):
    save(*args)
    print("saved", flush=True)
    time.sleep(60)

np.save = slow_save
data_dir = Path(sys.argv[1])
with packed.staging(data_dir) as folder:
    packed.write(folder / "p", {"train": {"x": np.ones(3)}}, name="a", kind="b", binarize=False)
    packed.publish(folder / "p", data_dir / "target")
"""


def test_killed_while_writing_leaves_nothing_that_looks_whole(tmp_path):
    command = [sys.executable, "-c", SLOW_WRITER, str(tmp_path)]
    root = Path(packed.__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout.readline() == "saved\n"
        process.kill()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".incomplete-") and (left / "p" / "train.x.npy").exists()
    assert not packed.is_whole(left / "p") and not packed.is_whole(tmp_path / "target")
