"""Other processors on this one: torch, oneDNN and MKL choose their code by these variables, read when Python starts.

A trained network differs from one rounding to the next as it does from seed to seed. Where a library has no such code,
as on a processor that is no x86, the variables change nothing.
"""

ROUNDINGS: dict[str, dict[str, str]] = {
    "native": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "compatible": {"ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"},
    "oldest": {"ATEN_CPU_CAPABILITY": "default", "DNNL_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
}
