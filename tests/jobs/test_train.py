"""A run: resumed equals uninterrupted, what stops it, what it refuses, what it leaves behind."""

import json
import os
import signal

import jax
import numpy as np
import pytest
import runs

from rlvm.jobs import train as job
from rlvm.jobs import workdir as workdirs
from rlvm.jobs.load import load
from rlvm.jobs.train import Window, next_event, train
from rlvm.training import metrics

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def state_at(workdir, checkpoint="latest"):
    return jax.tree.map(np.asarray, load(workdir, checkpoint).state)


def test_a_run_leaves_its_record(trained):
    assert {p.name for p in trained.iterdir()} == {
        "checkpoints",
        "config.json",
        "data.json",
        "lock",
        "metrics.jsonl",
        "tensorboard",
        "versions.json",
    }
    lines = metrics.read(trained)
    assert [line["step"] for line in lines if "train/loss" in line] == [2, 4, 6, 8, 10, 12]
    assert [line["step"] for line in lines if "valid/rate" in line] == [4, 8, 12]
    assert all("valid/active_units" in line for line in lines if "valid/rate" in line)
    assert json.loads((trained / "versions.json").read_text())["jax"] == jax.__version__


def test_train_metrics_are_means_over_their_window(trained, small, tmp_path, data_dir):
    """One line over all 12 steps is the mean of the six lines over two."""
    train(small(**{"train.log_every": 12}), tmp_path, data_dir)
    whole = [line["train/loss"] for line in metrics.read(tmp_path) if "train/loss" in line]
    parts = [line["train/loss"] for line in metrics.read(trained) if "train/loss" in line]
    assert whole == [pytest.approx(np.mean(parts), rel=1e-5)]


@pytest.mark.parametrize("stop", [4, 7])
def test_interrupted_and_resumed_is_uninterrupted_bit_for_bit(
    trained, small, tmp_path, data_dir, monkeypatch, stop
):
    """The run is told to leave after `stop` steps, in the middle of a window or not."""
    with monkeypatch.context() as patch:

        class AskedToLeave:
            def __enter__(self):
                return lambda step: step >= stop

            def __exit__(self, *_):
                return None

        patch.setattr(job.interrupt, "requested", AskedToLeave)
        left = train(small(), tmp_path, data_dir)
    assert stop <= int(left.step) < 12
    train(small(), tmp_path, data_dir)
    runs.assert_equal(state_at(tmp_path), state_at(trained))
    losses = [
        [line["valid/description_length"] for line in metrics.read(w) if "valid/rate" in line]
        for w in (tmp_path, trained)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_leaves(small, tmp_path, data_dir, monkeypatch, number):
    add = Window.add

    def interrupted(self, totals, count):
        os.kill(os.getpid(), number)
        add(self, totals, count)

    monkeypatch.setattr(Window, "add", interrupted)
    before = signal.getsignal(number)
    state = train(small(**{"train.checkpoint_every": 1000}), tmp_path, data_dir)
    assert int(state.step) == 2
    runs.assert_equal(state_at(tmp_path), jax.tree.map(np.asarray, state))
    assert signal.getsignal(number) is before


def test_a_finished_run_has_nothing_left_to_do(trained, small, data_dir, monkeypatch):
    monkeypatch.setattr(Window, "add", lambda *_: pytest.fail("a step was run"))
    assert int(train(small(), trained, data_dir).step) == 12


def test_step_counts_and_intervals_may_change(small, tmp_path, data_dir):
    train(small(**{"train.num_steps": 4}), tmp_path, data_dir)
    changed = small(**{"train.num_steps": 6, "train.log_every": 3, "train.steps_per_dispatch": 2})
    assert int(train(changed, tmp_path, data_dir).step) == 6


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["pmap", "sharded"])
def test_a_run_goes_on_in_another_mode(small, tmp_path, data_dir, mode):
    """Begun on one device, finished on eight, where its state may be split."""
    train(small(**{"train.num_steps": 8, "optimizer.schedule": "constant"}), tmp_path, data_dir)
    changes = {"optimizer.schedule": "constant", "parallel": mode}
    if mode == "sharded":
        changes |= {"sharding.fsdp": 2, "sharding.rules": (("visibles/Dense_0/kernel", 1),)}
    state = train(small(**changes), tmp_path, data_dir)
    alone = train(small(**{"optimizer.schedule": "constant"}), tmp_path / "one", data_dir)
    assert int(state.step) == 12
    runs.assert_close(state_at(tmp_path).params, state_at(tmp_path / "one").params, **CLOSE)
    runs.assert_close(jax.tree.map(np.asarray, state), jax.tree.map(np.asarray, alone), **CLOSE)


def test_another_config_is_refused_with_the_differing_keys(trained, small, data_dir):
    other = small(**{"optimizer.learning_rate": 0.5, "model.stochastic_units": (4,)})
    with pytest.raises(ValueError) as error:
        train(other, trained, data_dir)
    assert "holds another experiment" in str(error.value)
    assert "optimizer.learning_rate: 0.002 -> 0.5" in str(error.value)
    assert "model.stochastic_units: (3,) -> (4,)" in str(error.value)
    assert "batch_size" not in str(error.value)


def test_other_data_under_the_same_config_is_refused(trained, small, data_dir, own_file):
    original = own_file.read_bytes()
    arrays = dict(np.load(own_file))
    try:
        np.savez(own_file, **{**arrays, "train": arrays["train"][::-1]})
        with pytest.raises(ValueError, match="has other content"):
            train(small(), trained, data_dir)
    finally:
        own_file.write_bytes(original)


def test_a_run_that_failed_on_its_config_leaves_the_workdir_free(small, tmp_path, data_dir):
    for wrong in ({"objective.estimator": "darm"}, {"train.batch_size": 41}):
        with pytest.raises(ValueError):
            train(small(**wrong), tmp_path, data_dir)
    assert int(train(small(**{"train.num_steps": 1}), tmp_path, data_dir).step) == 1


def test_a_second_run_on_a_workdir_is_refused(small, tmp_path, data_dir):
    with workdirs.lock(tmp_path), pytest.raises(ValueError, match="Another run is writing"):
        train(small(), tmp_path, data_dir)
    with workdirs.lock(tmp_path):  # it is free again
        pass


def test_a_metric_that_is_not_finite_stops_the_run(small, tmp_path, data_dir):
    """A rate this high overflows; what was saved before stays and can be loaded."""
    train(small(**{"train.num_steps": 4}), tmp_path, data_dir)
    saved = state_at(tmp_path)
    poisoned = small(**{"train.num_steps": 12})
    add = Window.add

    def poison(self, totals, count):
        totals["first_bad"]["rate"] = np.int32(6)
        add(self, totals, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Window, "add", poison)
        with pytest.raises(FloatingPointError, match="Metric 'rate' was not finite at step 6; "):
            train(poisoned, tmp_path, data_dir)
    runs.assert_equal(state_at(tmp_path), saved)


def test_an_overflow_is_found_at_its_step(small, tmp_path, data_dir):
    diverging = small(
        **{
            "optimizer.name": "sgd",
            "optimizer.learning_rate": 3e38,
            "optimizer.schedule": "constant",
            "optimizer.momentum": 0.0,
        }
    )
    with pytest.raises(FloatingPointError, match=r"Metric '\w+' was not finite at step 1; "):
        train(diverging, tmp_path, data_dir)
    with pytest.raises(ValueError, match="No checkpoint 'best'"):
        load(tmp_path)


def test_parameters_that_are_not_finite_are_never_saved(small, tmp_path, data_dir):
    """The last step before a save may overflow without any metric of that step knowing."""
    exploding = small(
        **{
            "optimizer.name": "sgd",
            "optimizer.learning_rate": 3e38,
            "optimizer.schedule": "constant",
            "optimizer.momentum": 0.0,
            "optimizer.weight_decay": 0.0,
            "train.checkpoint_every": 1,
            "train.steps_per_dispatch": 1,
        }
    )
    with pytest.raises(FloatingPointError, match="was not finite"):
        train(exploding, tmp_path, data_dir)
    for checkpoint in (tmp_path / "checkpoints" / "latest").iterdir():
        state = state_at(tmp_path, checkpoint.name)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


def test_early_stopping_keeps_the_best_and_stays_stopped(small, tmp_path, data_dir, monkeypatch):
    values = iter([3.0, 2.0, 5.0, 4.0, *[9.0] * 9])
    monkeypatch.setattr(
        job.Validator,
        "__call__",
        lambda self, state: {"description_length": next(values), "rate": 1.0},
    )
    config = small(
        **{"train.num_steps": 100, "train.eval_every": 2, "train.early_stopping_evals": 2}
    )
    state = train(config, tmp_path, data_dir)
    assert (int(state.step), int(state.best_step), float(state.best_value)) == (8, 4, 2.0)
    assert (
        load(tmp_path).checkpoint == "best:4" and load(tmp_path, "latest").checkpoint == "latest:8"
    )
    assert int(train(config, tmp_path, data_dir).step) == 8


def test_a_rate_near_zero_is_called_collapse(small, tmp_path, data_dir, monkeypatch, caplog):
    means = Window.means
    monkeypatch.setattr(Window, "means", lambda self: {**means(self), "rate": 0.001})
    with caplog.at_level("WARNING", logger="rlvm"):
        train(small(**{"train.num_steps": 2}), tmp_path, data_dir)
    assert "posterior collapse" in caplog.text


def test_dispatches_end_where_the_host_has_something_to_do(small):
    settings = small(**{"train.log_every": 5, "train.eval_every": 7, "train.num_steps": 16}).train
    events, step = [], 0
    while step < settings.num_steps:
        step = next_event(step, settings)
        events.append(step)
    assert events == [3, 4, 5, 7, 8, 10, 12, 14, 15, 16]


def test_a_run_is_traced_once(small, tmp_path, data_dir, monkeypatch, caplog):
    """Counted, compiled, dispatches of one to three steps, evaluations and saves: one trace."""
    traces, make_step = [], job.make_step

    def counting(*arguments):
        step = make_step(*arguments)

        def counted(*inputs):
            traces.append(1)
            return step(*inputs)

        return counted

    monkeypatch.setattr(job, "make_step", counting)
    with caplog.at_level("INFO", logger="rlvm"):
        train(small(), tmp_path, data_dir)
    assert len(traces) == 1
    assert ["GFLOP a step" in text for text in caplog.messages[:2]] == [True, False]
    assert "MB of temporaries" in caplog.messages[1]  # both before the first step's messages


def test_streaming_trains_the_same_way(small, tmp_path, data_dir, monkeypatch):
    """A split too large for a device goes through Grain: resumed equals uninterrupted."""
    source = job.training_source
    monkeypatch.setattr(job, "training_source", lambda *a, **k: source(*a, **k, limit=1))
    whole = train(small(**{"train.num_steps": 8}), tmp_path / "whole", data_dir)
    train(small(**{"train.num_steps": 8, "train.checkpoint_every": 3}), tmp_path / "p", data_dir)
    for folder in (tmp_path / "p" / "checkpoints" / "best", tmp_path / "p" / "checkpoints/latest"):
        for step in list(folder.iterdir()):  # as if killed before step 6
            if step.name in ("6", "8"):
                os.rename(step, tmp_path / f"{folder.name}-{step.name}")
    resumed = train(small(**{"train.num_steps": 8}), tmp_path / "p", data_dir)
    runs.assert_equal(*(jax.tree.map(np.asarray, s.params) for s in (whole, resumed)))
