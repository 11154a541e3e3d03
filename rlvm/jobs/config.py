"""Configs: the fields every experiment has, where they are found, and how they are recorded."""

import hashlib
import importlib.machinery
import json
import pathlib
import types
from typing import Any

from ml_collections import ConfigDict

# Changing these on a workdir continues the same run; any other change is another experiment.
MAY_CHANGE = (
    "train.num_steps",
    "objective.shift.until",  # a share of them
    "objective.transpose_until",
    "train.eval_every",
    "train.log_every",
    "train.checkpoint_every",
    "train.steps_per_dispatch",
    "train.keep_checkpoints",
    "train.accumulate_steps",  # the same update, in less memory
    "model.segment",
    "model.keep_convolutions",
    "parallel",  # the same update, on other devices
    "sharding.fsdp",
    "sharding.rules",
)


def base() -> ConfigDict:
    """The fields of every config with their defaults; a family adds its `model` fields."""
    config = ConfigDict()
    config.data = ConfigDict({"name": "", "path": ""})
    config.model = ConfigDict({"name": ""})
    config.objective = ConfigDict(
        {
            "name": "description_length",
            "estimator": "darn",
            "num_samples": 1,
            "kl_warmup_steps": 0,
            "free_bits": 0.0,
        }
    )
    config.optimizer = ConfigDict(
        {
            "name": "adamw",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warmup_steps": 0,
            "momentum": 0.9,
            "weight_decay": 0.0,
            "decay_exempt": (),
            "clip_norm": 0.0,
            "ema_decay": 0.0,
        }
    )
    config.train = ConfigDict(
        {
            "num_steps": 1000,
            "batch_size": 100,
            "accumulate_steps": 1,
            "matmul_precision": "default",
            "eval_every": 500,
            "log_every": 100,
            "checkpoint_every": 1000,
            "steps_per_dispatch": 100,
            "keep_checkpoints": 2,
            "early_stopping_evals": 0,
        }
    )
    config.parallel = "jit"
    config.sharding = ConfigDict({"fsdp": 1, "rules": ()})  # (regex of a path, dimension) pairs
    config.seed = 0
    return config


def darn(stochastic: tuple[int, ...], deterministic: tuple[int, ...], **model: Any) -> ConfigDict:
    """`base` for a DARN: factorial encoder, autoregressive visibles, and what `model` changes."""
    config = base()
    config.model = {
        "name": "darn",
        "stochastic_units": stochastic,
        "deterministic_units": deterministic,
        "autoregressive_encoder": False,
        "autoregressive_visibles": True,
        "skip": False,
        **model,
    }
    return config


def prediction(task: str, selects: str) -> ConfigDict:
    """`base` with the fields of the objective 'prediction'; `selects` is what validation minimises.

    A batch is cut to `window` frames (0: all) and moved by up to `transpose` keys, but not from
    update `transpose_until` on (0: always), so that the model ends on the data's own keys; its
    input gets Gaussian `noise` and loses a share `drop` of its values.
    """
    config = base()
    config.objective.name = "prediction"
    config.objective.update(
        {
            "task": task,
            "selects": selects,
            "prediction_weight": 1.0,
            "class_weight": 0.0,
            "segment_weight": 0.0,
            "consistency_weight": 0.0,
            "teacher_decay": 0.995,
            "ramp_up_steps": 1000,
            "window": 0,
            "transpose": 0,
            "transpose_until": 0,
            "noise": 0.0,
            "drop": 0.0,
            "batch_norm_decay": 0.95,
        }
    )
    config.optimizer.least_scale = 1.0  # halve the rate when validation rises, down to this share
    config.optimizer.halve_at = ()
    return config


def half_labelled(config: ConfigDict) -> ConfigDict:
    """`config` with labels for half of each batch, where its data set has 1,000 of them in all."""
    if "/labels1000" in config.data.name:
        config.train.labelled_per_batch = config.train.batch_size // 2
    return config


def layers(sizes: tuple[int, ...], *activations: str, **more: Any) -> dict[str, Any]:
    """The fields of a feed-forward network: one activation for each width."""
    return {"sizes": sizes, "activations": activations, **more}


def state_space(conditioning: str, prefix_length: int, **model: Any) -> ConfigDict:
    """`base` for a state-space model; `model` has its state_dim and its networks.

    Adam, gradients clipped far out, and a slow start of the rate against posterior collapse.
    """
    config = base()
    config.model = {
        "name": "ssm",
        "conditioning": conditioning,
        "prefix_length": prefix_length,
        "inference": "residual",
        "initial_inference": "base",
        "initial_scale": 0.1,
        **model,
    }
    config.objective.kl_warmup_steps = 2_000
    config.optimizer.name = "adam"
    config.optimizer.clip_norm = 100.0
    return config


def emission_from_data(sizes: tuple[int, ...], *activations: str) -> dict[str, Any]:
    """Fields of an emission that follows the data: Bernoulli, or Gaussian of learned scale."""
    gaussian = {"kind": "gaussian", "scale_kind": "learnable", "scale": (1.0,)}
    return {"emission_from_data": True, "emission": {**layers(sizes, *activations), **gaussian}}


def small_state_space(config: ConfigDict) -> ConfigDict:
    """`config` with three state dimensions and layers of eight units: its tiny variant."""
    config.model.state_dim = 3
    config.model.flow.update(num_flows=2, sizes=(8,))
    config.model.features.size = 8
    for name in ("emission", "transition", "prefix", "inverse_initial", "inverse_residual"):
        config.model[name].sizes = (8,) * len(config.model[name].sizes)
    return config


def find(name: str) -> str:
    """Path of a config given as a file ('configs/darn/connect4.py') or a name ('darn/connect4')."""
    file, _, argument = name.partition(":")
    suffix = f":{argument}" if argument else ""
    if pathlib.Path(file).is_file():
        return file + suffix
    root = config_root()
    files = [p.relative_to(root) for p in root.glob("[a-z]*/[a-z]*.py")]
    known = sorted(str(file)[:-3] for file in files if file.parts[0] != "sweeps")
    stem = file.removesuffix(".py").removeprefix("configs/")
    if stem in known:
        return str(root / f"{stem}.py") + suffix
    raise ValueError(f"No config '{name}'. Configs: {', '.join(known)}.")


def config_root() -> pathlib.Path:
    """The folder of the configs: the checkout's, or the installed package's."""
    package = pathlib.Path(__file__).parents[1] / "configs"
    return package if package.is_dir() else package.parents[1] / "configs"


def load(name: str, **overrides: Any) -> ConfigDict:
    """A config by name, with overrides as dotted keys: load('darn/arrays', **{'seed': 1})."""
    config = module(name).get_config(*filter(None, [name.partition(":")[2]]))
    config.lock()
    for key, value in overrides.items():
        set_field(config, key, value)
    return config


def module(name: str):
    """The config file as a module: it has `get_config` and `tiny`."""
    path = find(name.partition(":")[0])
    loader = importlib.machinery.SourceFileLoader(pathlib.Path(path).stem, path)
    loaded = types.ModuleType(loader.name)
    loader.exec_module(loaded)
    return loaded


def set_field(config: ConfigDict, key: str, value: Any) -> None:
    """Set a dotted field of a locked, typed config; an unknown key names what was meant."""
    *parents, leaf = key.split(".")
    for parent in parents:
        config = config[parent]
    config[leaf] = value


def to_json(config: ConfigDict) -> str:
    """The config as JSON with sorted keys: what `config.json` holds."""
    return json.dumps(config.to_dict(), sort_keys=True, indent=1)


def sha256(config: ConfigDict) -> str:
    """Hash of the config's JSON."""
    return hashlib.sha256(to_json(config).encode()).hexdigest()


def from_json(text: str) -> ConfigDict:
    """The config that `to_json` wrote; lists become the tuples they were.

    A config recorded before a field of `base`, or of `prediction`, existed had its default.
    """
    fields = tuples(json.loads(text))
    predicts = fields.get("objective", {}).get("name") == "prediction"
    config = prediction("", "") if predicts else base()
    config.update(fields)
    return config.lock()


def tuples(value):
    """Lists, as JSON has them, as the tuples they were."""
    if isinstance(value, dict):
        return {name: tuples(item) for name, item in value.items()}
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def flat(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The config's leaves under dotted names."""
    leaves: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            leaves.update(flat(value, f"{prefix}{name}."))
        else:
            leaves[prefix + name] = value
    return leaves


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Lines 'key: old -> new' for the fields that make it another experiment."""
    before, after = flat(old), flat(new)
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted({*before, *after} - {*MAY_CHANGE})
        if before.get(key) != after.get(key)
    ]
