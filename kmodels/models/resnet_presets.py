"""The residual networks of reports A, B, D and E, and the field's references."""

from __future__ import annotations

from kmodels.models.preset import Preset
from kmodels.models.resnet import resnet

__all__ = ["RESNETS"]

_HE = "He et al., Deep Residual Learning for Image Recognition, 2016"
_SE = "Hu et al., Squeeze-and-Excitation Networks, 2018"
_DEPTHS = (18, 34, 50, 101, 152)
_LARGE = (224, 224, 3)
_THREE = (16, 32, 64)

_STEM_A = {"stem_kernel": 7, "stem_stride": 2, "stem_pool": "ceil", "stride_on": "1x1"}
_STEM_IMAGENET = {"stem_kernel": 7, "stem_stride": 2, "stem_pool": "padded", "weights": "he_fan_out"}
_CIFAR = {"widths": _THREE, "shortcut": "pad", "weights": "he_fan_in"}
_D = {"blocks_per_stage": 2, "widths": _THREE}
_E = {
    "blocks_per_stage": 2,
    "stem_kernel": 3,
    "stem_stride": 1,
    "stem_bias": True,
    "stem_batch_norm": True,
    "dropout": 0.0,
}
_ROWS_A = {18: "A-3.3", 50: "A-3.2"}
_ROWS_SMALL = {18: "B-1.2, B-2.5, B-5.3; ", 34: "B-1.6; "}

RESNETS: dict[str, Preset] = {
    **{
        f"resnet{depth}_a": Preset(
            resnet, _ROWS_A.get(depth, "A, table of ResNets"), {"depth": depth, **_STEM_A}, _LARGE
        )
        for depth in _DEPTHS
    },
    **{f"resnet{depth}": Preset(resnet, _ROWS_SMALL.get(depth, "") + _HE, {"depth": depth}) for depth in _DEPTHS},
    "se_resnet18": Preset(resnet, "B-1.5, B-2.6", {"depth": 18, "se_reduction": 16}),
    "resnet18_pooled": Preset(resnet, "B-5.1", {"depth": 18, "downsampling": "average_pool"}),
    "resnet18_flatten": Preset(resnet, "B-5.2", {"depth": 18, "head": "flatten"}),
    "resnet14_d": Preset(resnet, "D-2, D-5", _D),
    "plain14_d": Preset(resnet, "D-5", {**_D, "shortcut": "none"}),
    "se_resnet14_d": Preset(resnet, "D-4, D-5", {**_D, "se_reduction": 16}),
    "resnet18_e": Preset(resnet, "E-T1 … E-T7, E-T9, E-T11, E-L2", _E),
    "resnet18_e_no_stem_bn": Preset(resnet, "E-T8", {**_E, "stem_batch_norm": False}),
    "resnet18_e_large_stem": Preset(resnet, "E-T10", {**_E, "stem_kernel": 7, "stem_stride": 2}),
    "resnet26_e": Preset(resnet, "E-L3; what E's listing builds of [2, 2, 2, 2]", {**_E, "blocks_per_stage": 3}),
    "resnet34_e": Preset(resnet, "what E's listing builds of [3, 3, 3, 3]", {**_E, "blocks_per_stage": 4}),
    **{f"resnet{depth}": Preset(resnet, _HE, {"depth": depth, **_CIFAR}) for depth in (20, 32, 56, 110)},
    **{
        f"se_resnet{depth}": Preset(resnet, _SE, {"depth": depth, **_CIFAR, "se_reduction": 16})
        for depth in (20, 56, 110)
    },
    "wide_resnet28_10": Preset(
        resnet,
        "Zagoruyko & Komodakis, Wide Residual Networks, 2016",
        {
            "depth": 28,
            "block": "preactivation",
            "stem_width": 16,
            "widths": (160, 320, 640),
            "weights": "he_fan_out",
        },
    ),
    **{
        f"resnet{depth}_imagenet": Preset(
            resnet, f"{_HE}; torchvision", {"depth": depth, **_STEM_IMAGENET}, _LARGE, 1000
        )
        for depth in _DEPTHS
    },
}
"""Presets by name: `_a` … `_e` as that report builds it, `_imagenet` as torchvision does, others for small images."""
