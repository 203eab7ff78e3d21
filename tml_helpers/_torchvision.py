"""Import torchvision, also where its compiled operators belong to another build of torch.

A torchvision wheel beside a CPU-only torch from another index fails at import with "operator torchvision::nms does
not exist", although its Python parts (datasets, transforms, models) need no such operator. Declaring the two missing
operators first is enough.
"""

import importlib
import sys
from types import ModuleType

_keep_alive: list[object] = []


def load() -> ModuleType:
    """The module `torchvision`."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    import torch

    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _keep_alive.append(library)
    return importlib.import_module("torchvision")
