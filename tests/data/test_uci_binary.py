import numpy as np
import pytest

from rlvm.data import dataset, uci_binary

ROWS = (5, 2, 3)


@pytest.fixture
def small(monkeypatch):
    """The sets with a few rows in place of thousands."""
    for name, wanted in uci_binary.FORMATS.items():
        monkeypatch.setitem(
            uci_binary.FORMATS, name, uci_binary.dataclasses.replace(wanted, rows=ROWS)
        )


def rows(width):
    parts = np.random.default_rng(width).integers(0, 2, (3, 5, width)).astype(np.uint8)
    return [part[:count] for part, count in zip(parts, ROWS, strict=True)]


def load(name, folder):
    return dataset.load(f"uci_binary/{name}", data_dir=folder / "data", manual_dir=folder)


def as_libsvm(x):
    lines = (" ".join(f"{i + 1}:1" for i in np.flatnonzero(row)) for row in x)
    return "".join(f"-1 {line}\n" for line in lines)


def as_table(x):
    return "".join(" ".join(map(str, row)) + " 7\n" for row in x)


@pytest.mark.parametrize("name", sorted(uci_binary.FORMATS))
def test_text_files_of_the_nade_distribution_hold_the_same_set_as_the_npz(name, small, tmp_path):
    wanted = uci_binary.FORMATS[name]
    write = as_libsvm if wanted.parse is uci_binary.read_libsvm else as_table
    parts = rows(wanted.width)
    for split, x in zip(uci_binary.SPLITS, parts, strict=True):
        file = wanted.files.format(split).split("/")[-1]
        (tmp_path / file).write_text(write(x))
    from_text = load(name, tmp_path)
    for split, x in zip(uci_binary.SPLITS, parts, strict=True):
        np.testing.assert_array_equal(from_text.splits[split]["x"], x)
    other = tmp_path / "npz"
    other.mkdir()
    np.savez(other / f"uci_{name}.npz", **dict(zip(uci_binary.SPLITS, parts, strict=True)))
    assert load(name, other).sha256 == from_text.sha256


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("1 0:1", "index 0 is not in 1..3"), ("1 4:1", "index 4"), ("1 2:0.5", "0.5"), ("1 2", "")],
)
def test_damaged_libsvm_is_named(line, complaint, tmp_path):
    (tmp_path / "f").write_text(line)
    with pytest.raises(
        ValueError, match=r"not in the layout 'target index:value ...'.*" + complaint
    ):
        uci_binary.read_libsvm(tmp_path / "f", 3)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("0 1 1", "has 3 values, expected 3 and a target"), ("0 2 1 0", "0 and 1")],
)
def test_damaged_table_is_named(line, complaint, tmp_path):
    (tmp_path / "f").write_text(line)
    with pytest.raises(ValueError, match=complaint):
        uci_binary.read_table(tmp_path / "f", 3)


def test_mushrooms_of_uci_become_one_hot_without_stalk_root(tmp_path):
    row = list("exsnfafcbktcsswwpwopks")
    other = [*row]
    other[0], other[10] = "b", "?"  # cap shape, and the stalk root that is left out
    text = f"p,{','.join(row)}\ne,{','.join(other)}\n"
    (tmp_path / "m").write_text(text)
    x = uci_binary.read_mushrooms(tmp_path / "m")
    assert x.shape == (2, 22)  # two letters of cap shape, one of each of the 20 others
    np.testing.assert_array_equal(x[:, :2], [[0, 1], [1, 0]])
    assert np.all(x[:, 2:] == 1)


def test_mushrooms_own_split_keeps_every_row(small, tmp_path, monkeypatch):
    letters = np.array(list("abcdefghij"))
    table = np.full((10, 23), "a")
    table[:, 1] = letters
    (tmp_path / uci_binary.MUSHROOMS_FILE).write_text("\n".join(map(",".join, table)))
    wanted = uci_binary.dataclasses.replace(uci_binary.FORMATS["mushrooms"], width=30)
    monkeypatch.setitem(uci_binary.FORMATS, "mushrooms", wanted)
    data = load("mushrooms", tmp_path)
    x = np.concatenate([data.splits[split]["x"] for split in uci_binary.SPLITS])
    np.testing.assert_array_equal(np.sort(np.argmax(x[:, :10], axis=1)), np.arange(10))


def test_offline_without_files(tmp_path):
    with pytest.raises(ValueError) as error:
        load("rcv1", tmp_path)
    message = str(error.value)
    assert message.startswith("uci_binary/rcv1 needs uci_rcv1.npz (or rcv1_all_subset.binary_train")
    assert "\n" not in message and "--dataset=uci_binary/rcv1" in message


def test_a_split_of_another_size_is_refused(tmp_path):
    parts = dict.fromkeys(uci_binary.SPLITS, np.ones((2, 180)))
    np.savez(tmp_path / "uci_dna.npz", **parts)
    with pytest.raises(ValueError, match=r"has shape \(2, 180\), expected \[1400, 180\]"):
        load("dna", tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["adult", "dna", "nips"])
def test_real_files(name, manual_dir, tmp_path):
    data = dataset.load(f"uci_binary/{name}", data_dir=tmp_path, manual_dir=manual_dir)
    wanted = uci_binary.FORMATS[name]
    shapes = [data.splits[split]["x"].shape for split in uci_binary.SPLITS]
    assert shapes == [(count, wanted.width) for count in wanted.rows]
