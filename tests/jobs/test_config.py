"""Configs: found, overridden, recorded and compared."""

import json

import pytest
import runs

from rlvm.jobs import config as configs


def test_found_by_name_and_by_file(monkeypatch):
    monkeypatch.chdir(configs.config_root().parent)
    path = configs.find("darn/fvsbn")
    assert path.endswith("configs/darn/fvsbn.py")
    assert configs.find(path) == path and configs.load(path).model.name == "fvsbn"
    assert configs.find("configs/darn/fvsbn.py") == "configs/darn/fvsbn.py"  # as it was given
    assert configs.find("darn/uci:dna").endswith("configs/darn/uci.py:dna")


def test_unknown_names_list_what_exists():
    with pytest.raises(
        ValueError, match=r"No config 'darn/fvsb'. Configs: darn/arrays, .*darn/fvsbn"
    ):
        configs.find("darn/fvsb")


def test_an_argument_reaches_get_config():
    assert configs.load("darn/uci:dna").data.name == "uci_binary/dna"


def test_configs_are_locked_and_typed():
    config = configs.load("darn/fvsbn", **{"train.num_steps": 3})
    assert config.train.num_steps == 3
    with pytest.raises((AttributeError, KeyError), match="num_stepz"):
        configs.set_field(config, "train.num_stepz", 3)
    with pytest.raises(TypeError, match="num_steps"):
        configs.set_field(config, "train.num_steps", "three")


def test_json_round_trip_keeps_tuples_and_the_hash():
    config = runs.small_config(**{"model.deterministic_units": (4, 5)})
    again = configs.from_json(configs.to_json(config))
    assert again.model.deterministic_units == (4, 5) and again.is_locked
    assert configs.sha256(again) == configs.sha256(config)
    assert configs.sha256(runs.small_config()) != configs.sha256(config)


def test_a_record_older_than_a_field_has_its_default():
    config = runs.small_config()
    record = json.loads(configs.to_json(config))
    del record["train"]["matmul_precision"]
    assert configs.differences(configs.from_json(json.dumps(record)), config) == []


def test_differences_name_keys_and_ignore_step_counts():
    old = runs.small_config()
    new = runs.small_config(**{"seed": 2, "train.num_steps": 99, "train.log_every": 1})
    assert configs.differences(old, new) == ["seed: 0 -> 2"]


def test_a_longer_run_moves_images_for_the_same_share_and_stays_the_same_experiment():
    old, new = configs.load("darn/fdarn"), configs.load("darn/fdarn")
    assert old.objective.shift.until == 100_000
    new.train.num_steps = 180_000
    assert new.objective.shift.until == 150_000
    assert configs.differences(old, new) == []


def test_a_record_older_than_a_field_of_prediction_has_its_default():
    config = configs.load("ladder/occluded_small")
    record = config.to_dict()
    del record["optimizer"]["least_scale"], record["objective"]["drop"]
    assert configs.differences(configs.from_json(json.dumps(record)), config) == []


@pytest.mark.parametrize(
    ("name", "labelled"),
    [
        ("ladder/occluded_small:semi_supervised", 8),
        ("ladder/occluded_moving_mnist:mean_teacher", 32),
        ("ladder/textured_mnist:labels1000", 8),
        ("ladder/occluded_small:labels_only", 0),
    ],
)
def test_few_labels_come_in_half_of_every_batch(name, labelled):
    assert configs.load(name).train.get("labelled_per_batch", 0) == labelled
