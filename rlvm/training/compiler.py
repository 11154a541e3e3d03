"""Options for XLA, by platform: what made the compiled steps faster where it was measured."""

OPTIONS: dict[str, dict[str, bool | str]] = {
    "cpu": {
        # only matmuls leave XLA's own loops: fused reductions through YNNPACK write their squares
        # and exponentials to memory first
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
        # weights that a step updates in place are not copied at the loop's entry
        "xla_cpu_copy_insertion_use_region_analysis": True,
    },
}


def options(platform: str) -> dict[str, bool | str] | None:
    """`compiler_options` of `jax.jit` for a platform."""
    return OPTIONS.get(platform)
