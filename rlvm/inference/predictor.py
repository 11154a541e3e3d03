"""Objectives of a `Predictor`: what comes next, what is clean, what class it is, a teacher's view.

Terms, per example: `nll`, the nats of the frames after the first ('next_frame'), of the clean x in
the last iteration ('denoising', where `nll_mean` is the mean over iterations) or of the label
('classification'); where the data has labels and the network a SoftMax, `class_cost` and
`class_error` of the last frame or iteration; `consistency_cost` with a Mean Teacher; with
`segment_weight`, `segment_cost` of a tagger's masks, the mean over iterations. Labels below zero
mean none.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rlvm.inference import ami, augmentation, mean_teacher, prediction
from rlvm.types import Array, Batch, Objective, Predictor, PyTree, Terms

TASKS = ("next_frame", "denoising", "classification")


def predicted(model: nn.Module, config: ConfigDict) -> Objective:
    """Weighted sum of the costs, BatchNorm's running statistics and the teacher moved by a step."""
    check_task(config)

    def objective(params, extra, batch, rng):
        batch = augmented(batch, config, rng)
        (_, outputs), moments = train_pass(model, {"params": params, **extra}, batch, config, rng)
        terms = measured(outputs, batch, config)
        if config.consistency_weight:
            teacher = {**extra, "params": extra["teacher"]["params"]}
            view = jax.vmap(lambda key: jax.random.fold_in(key, 7))(rng)
            (_, seen), _ = train_pass(model, teacher, batch, config, view)
            terms["consistency_cost"] = mean_teacher.consistency_cost(
                outputs["logits"][:, -1], seen["logits"][:, -1]
            )
        loss = total_cost(terms, batch, extra, config)
        extra = moved(params, extra, moments, model, config)
        return prediction.weighted_mean(loss, batch["mask"]), (extra, terms)

    return objective


def check_task(config: ConfigDict) -> None:
    """Refuse a task that does not exist."""
    if config.task not in TASKS:
        raise ValueError(f"No task '{config.task}'. Tasks: {', '.join(TASKS)}.")


def evaluated(config: ConfigDict) -> Callable[[Predictor, Batch, Array], Terms]:
    """The terms of a bound model on clean data, at the running statistics."""

    def terms(model: Predictor, batch: Batch, keys: Array) -> Terms:
        _, outputs = model(model.initial_carry(keys, batch), batch)
        found = measured(outputs, batch, config)
        if config.task == "next_frame" and hasattr(outputs["prediction"], "mean"):
            found["squared_error"] = frame_error(outputs["prediction"], batch)
        if "log_m" in outputs and "segments" in batch:
            found |= segmentation(outputs["log_m"], batch["segments"])
        return found

    return terms


def augmented(batch: Batch, config: ConfigDict, rng: Array) -> Batch:
    """The batch as it is trained on: a random window of the frames, transposed by a few keys."""
    if config.window:
        batch = augmentation.cropped(batch, config.window, rng)
    if config.transpose:
        moved = augmentation.transposed(batch["x"], config.transpose, rng)
        if config.transpose_until:
            moved = jnp.where(batch["step"] < config.transpose_until, moved, batch["x"])
        batch = {**batch, "x": moved}
    return batch


def train_pass(model: nn.Module, variables: PyTree, batch: Batch, config: ConfigDict, rng: Array):
    """((carry, outputs), moments) on the corrupted input."""
    noisy = batch["x"]
    if config.noise:
        noisy = prediction.corrupt(noisy, config.noise, rng)
    if config.drop:
        noisy = prediction.drop(noisy, config.drop, rng)
    corrupted = {**batch, "x": noisy}
    carry = model.initial_carry(rng, batch)
    return model.apply(variables, carry, corrupted, train=True, mutable=["moments"])


def measured(outputs: Mapping[str, PyTree], batch: Batch, config: ConfigDict) -> Terms:
    """The terms of one pass: [B] each."""
    terms = {}
    if config.task == "next_frame":
        frames = prediction.frame_mask(batch)
        costs = prediction.next_frame_cost(outputs["prediction"], batch["x"], frames)
        terms["nll"] = costs.sum(-1)
    if config.task == "denoising":
        costs = prediction.denoising_cost(outputs["prediction"], batch["x"])
        terms |= {"nll": costs[:, -1], "nll_mean": costs.mean(-1)}
    if config.segment_weight:
        segments = true_segments(outputs, batch)
        terms["segment_cost"] = prediction.segment_cost(outputs["log_m"], segments).mean(-1)
    if "y" in batch and "logits" in outputs:
        logits, labels = outputs["logits"][:, -1], batch["y"]
        terms["class_cost"] = prediction.classification_cost(logits, labels)
        terms["class_error"] = prediction.classification_error(logits, labels)
        if config.task == "classification":
            terms["nll"] = terms["class_cost"]
    return terms


def true_segments(outputs: Mapping[str, PyTree], batch: Batch) -> Array:
    """What masks are taught: the batch's segments [B, H, W], where model and data have both."""
    if "log_m" not in outputs or "segments" not in batch:
        raise ValueError(
            "objective.segment_weight teaches masks: it needs model.name 'tagger' and data with "
            f"'segments'. The model gives {', '.join(outputs)}; the data has {', '.join(batch)}."
        )
    if outputs["log_m"].shape[2] < 2:
        raise ValueError("objective.segment_weight needs at least 2 groups; model.num_groups is 1.")
    return batch["segments"]


def frame_error(predicted: Any, batch: Batch) -> Array:
    """Squared error of the predicted mean, summed over a frame, averaged over frames: [B]."""
    frames = prediction.frame_mask(batch)
    error = prediction.squared_error(predicted.mean(), batch["x"], frames)
    return error.sum(-1) / jnp.maximum(frames[:, 1:].sum(-1), 1.0)


def segmentation(log_m: Array, segments: Array) -> Terms:
    """AMI of the strongest group with digit-or-background, after each iteration: `ami_1` and on.

    log_m [B, N, K, H, W, 1], segments [B, H, W].
    """
    num_groups = log_m.shape[2]
    groups = jnp.argmax(log_m[..., 0], axis=2)  # [B, N, H, W]
    return {
        f"ami_{n + 1}": ami.image_scores(groups[:, n], segments, (num_groups, 2))
        for n in range(groups.shape[1])
    }


def total_cost(terms: Terms, batch: Batch, extra: PyTree, config: ConfigDict) -> Array:
    """The weighted sum of the costs, [B]; the consistency is ramped up."""
    weights = {"class_cost": config.class_weight}
    if config.task != "classification":
        weights["nll_mean" if config.task == "denoising" else "nll"] = config.prediction_weight
    weights["segment_cost"] = config.segment_weight
    weights = {name: weight for name, weight in weights.items() if weight}
    labels = batch.get("y", jnp.zeros(batch["mask"].shape, jnp.int32))
    cost = prediction.semi_supervised(terms, labels, batch["mask"], weights)
    if config.consistency_weight:
        ramp = mean_teacher.ramp_up(extra["teacher"]["step"], config.ramp_up_steps)
        cost += config.consistency_weight * ramp * terms["consistency_cost"]
    return cost


def moved(params: PyTree, extra: PyTree, moments: PyTree, model: nn.Module, config: ConfigDict):
    """`extra` after the step: the running statistics, and the teacher a little nearer."""
    extra = dict(extra)
    if "batch_stats" in extra:
        extra["batch_stats"] = model.moved_statistics(
            extra["batch_stats"], moments["moments"], config.batch_norm_decay
        )
    if config.consistency_weight:
        old = extra["teacher"]
        student = jax.lax.stop_gradient(params)
        teacher = mean_teacher.update_teacher(
            old["params"], student, old["step"], config.teacher_decay
        )
        extra["teacher"] = {"params": teacher, "step": old["step"] + 1.0}
    return extra


def with_teacher(variables: PyTree, config: ConfigDict) -> PyTree:
    """Initial variables with a teacher equal to the student, if the objective has one."""
    if not config.get("consistency_weight", 0.0):
        return variables
    return {**variables, "teacher": {"params": variables["params"], "step": jnp.zeros(())}}
