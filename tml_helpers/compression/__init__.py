"""Smaller networks without a teacher: fewer weights, ranks, values or bits, and what a file then weighs."""

from tml_helpers.compression.channels import prune_channels
from tml_helpers.compression.codebook import SharedValues, codebook
from tml_helpers.compression.files import load_compressed, save_compressed
from tml_helpers.compression.huffman import HuffmanCode, PrefixCode, huffman
from tml_helpers.compression.low_rank import LowRank, UncompressedWarning, low_rank
from tml_helpers.compression.pruning import LayerCollapseWarning, Mask, nonzero_count, plain, prune, sparsity_of
from tml_helpers.compression.quantization import Quantized, quantize

__all__ = [
    "HuffmanCode",
    "LayerCollapseWarning",
    "LowRank",
    "Mask",
    "PrefixCode",
    "Quantized",
    "SharedValues",
    "UncompressedWarning",
    "codebook",
    "huffman",
    "load_compressed",
    "low_rank",
    "nonzero_count",
    "plain",
    "prune",
    "prune_channels",
    "quantize",
    "save_compressed",
    "sparsity_of",
]
