"""Marks that show whose an image, a data set, a model or a text is, and how probable they are by chance."""

from tml_helpers.watermark.evidence import (
    Evidence,
    binomial_evidence,
    normal_evidence,
    rank_evidence,
    signed_rank_evidence,
)
from tml_helpers.watermark.feature_marks import CosineEvidence, cosine_test, feature_mark
from tml_helpers.watermark.generator import (
    GeneratorEvidence,
    GeneratorWatermark,
    IllegibleMessageWarning,
    MarkedGenerator,
)
from tml_helpers.watermark.images import ImageEvidence, UnreadableMarkWarning, detect_image, embed_image
from tml_helpers.watermark.keys import check_key, normals, signs, stream, uniforms
from tml_helpers.watermark.queries import QueryEvidence, QueryWatermark
from tml_helpers.watermark.radioactive import (
    RadioactiveData,
    RadioactiveEvidence,
    radioactive_carriers,
    radioactive_mark,
    radioactive_test,
)
from tml_helpers.watermark.tampering import add_noise, blur, crop, jpeg, resize, resize_and_back, rotate
from tml_helpers.watermark.text import TextEvidence, detect_text, green_list, text_watermark
from tml_helpers.watermark.triggers import TriggerEvidence, TriggerSet, trigger_set, trigger_test
from tml_helpers.watermark.twins import TwinEvidence, Twins, twin_test, twins
from tml_helpers.watermark.weights import WeightEvidence, WeightWatermark

__all__ = [
    "CosineEvidence",
    "Evidence",
    "GeneratorEvidence",
    "GeneratorWatermark",
    "IllegibleMessageWarning",
    "ImageEvidence",
    "MarkedGenerator",
    "QueryEvidence",
    "QueryWatermark",
    "RadioactiveData",
    "RadioactiveEvidence",
    "TextEvidence",
    "TriggerEvidence",
    "TriggerSet",
    "TwinEvidence",
    "Twins",
    "UnreadableMarkWarning",
    "WeightEvidence",
    "WeightWatermark",
    "add_noise",
    "binomial_evidence",
    "blur",
    "check_key",
    "cosine_test",
    "crop",
    "detect_image",
    "detect_text",
    "embed_image",
    "feature_mark",
    "green_list",
    "jpeg",
    "normal_evidence",
    "normals",
    "radioactive_carriers",
    "radioactive_mark",
    "radioactive_test",
    "rank_evidence",
    "resize",
    "resize_and_back",
    "rotate",
    "signed_rank_evidence",
    "signs",
    "stream",
    "text_watermark",
    "trigger_set",
    "trigger_test",
    "twin_test",
    "twins",
    "uniforms",
]
