"""Which precision the compiled step asks of matmuls and convolutions."""

import pytest
import runs

from rlvm.jobs import config as configs
from rlvm.training.precision import in_precision


def lowered(config) -> str:
    made = runs.start(config)
    return made.parallel.lower(made.state, made.source.inputs(0, 1)).as_text()


def matmuls(text: str) -> list[str]:
    return [line for line in text.splitlines() if "stablehlo.dot_general" in line]


@pytest.mark.parametrize(
    ("name", "type_"), [("bfloat16", "bf16"), ("float32", "f32"), ("default", None)]
)
def test_all_matmuls_of_a_step_and_nothing_else(name, type_):
    text = lowered(runs.small_config(**{"train.matmul_precision": name}))
    found = matmuls(text)
    assert len(found) > 8  # forward and backward
    if type_ is None:
        assert not any("precision_type" in line for line in found)
    else:
        wanted = f"lhs_precision_type = {type_}, rhs_precision_type = {type_}"
        assert all(f"{wanted}, accumulation_type = f32" in line for line in found)
    assert "xbf16>" not in text, "what is stored and added stays float32"


def test_an_unknown_precision_is_one_line():
    with pytest.raises(
        ValueError, match=r"No train.matmul_precision 'half'\. Precisions: default, "
    ):
        in_precision(lambda *_: None, "half")


def test_it_is_a_field_of_every_config():
    assert configs.base().train.matmul_precision == "default"
