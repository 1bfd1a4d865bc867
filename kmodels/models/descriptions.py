"""What each network of the registry is, in a line; where it stands is its preset's `source`."""

from __future__ import annotations

__all__ = ["DESCRIPTIONS"]

_DEPTHS = (18, 34, 50, 101, 152)
_VGG = {
    "vgg11": "VGG-11, configuration A",
    "vgg11_lrn": "VGG-11 with local response normalisation after its first convolution, configuration A-LRN",
    "vgg13": "VGG-13, configuration B",
    "vgg16_1x1": "VGG-16 with three 1x1 convolutions, configuration C",
    "vgg16": "VGG-16, configuration D",
    "vgg19": "VGG-19, configuration E",
}
_ONE_DENSE = "and a single dense layer"

DESCRIPTIONS: dict[str, str] = {
    "lenet": "Report A's LeNet: two 5x5 convolutions and three dense layers, with sigmoids and average pooling",
    "alexnet": "Report A's AlexNet: five convolutions and three dense layers, without batch normalisation",
    "alexnet_bn": "Report A's AlexNet with batch normalisation after every convolution and both hidden dense layers",
    "average_net": "Report A's AverageNet: the mean of the outputs of its AlexNet and its ResNet-18, trained together",
    **{
        name: f"{words}, without batch normalisation, {_ONE_DENSE}" if name != "vgg11_lrn" else f"{words}, {_ONE_DENSE}"
        for name, words in _VGG.items()
    },
    **{
        f"{name}_bn": f"{words}, with batch normalisation {_ONE_DENSE}"
        for name, words in _VGG.items()
        if name != "vgg11_lrn"
    },
    "se_vgg16_conv": "Report B's SE-VGG16-1: VGG-16 with squeeze-and-excite after every convolution",
    "se_vgg16_stage": "Report B's SE-VGG16-2: VGG-16 with squeeze-and-excite after every stage",
    "convnet": "Report C's MyConvNet: two normalised 3x3 convolutions and three dense layers",
    "plain_net": "Report D's Net: two 5x5 convolutions and three dense layers, with ReLU and max pooling",
    "densenet_d": "Report D's SimpleDenseNet: three dense blocks of three layers behind a 7x7 stem of stride 2 and a "
    "max pooling",
    "densenet_d_small_stem": "Report D's SimpleDenseNet behind a 3x3 stem of stride 1 and no pooling, so that its "
    "first dense block sees whole images",
    "densenet121": "DenseNet-121 with a stem for small images",
    "densenet_bc_100_12": "DenseNet-BC with 100 layers and growth 12, the DenseNet paper's for CIFAR-10",
    **{
        f"resnet{depth}_a": f"Report A's ResNet-{depth}: a 7x7 stem of stride 2 and a max pooling"
        + (", the stride of a bottleneck in its first convolution" if depth >= 50 else "")
        for depth in _DEPTHS
    },
    **{f"resnet{depth}": f"ResNet-{depth} with a 3x3 stem for small images" for depth in _DEPTHS},
    "se_resnet18": "ResNet-18 with a 3x3 stem for small images and squeeze-and-excite in every block",
    "resnet18_pooled": "ResNet-18 with a 3x3 stem that averages 2x2 pixels after every stage in place of strides",
    "resnet18_flatten": "ResNet-18 with a 3x3 stem and its last maps flattened in place of averaged",
    "resnet14_d": "Report D's ResNet: three stages of two blocks, 16 to 64 channels",
    "plain14_d": "Report D's ResNet without its skip connections",
    "se_resnet14_d": "Report D's SE-ResNet: its ResNet with squeeze-and-excite in every block",
    "resnet18_e": "Report E's ResNet-18: four stages of two blocks behind a 3x3 stem",
    "resnet18_e_no_stem_bn": "Report E's ResNet-18 without batch normalisation in its stem",
    "resnet18_e_large_stem": "Report E's ResNet-18 with a 7x7 stem of stride 2 in place of 3x3 and stride 1",
    "resnet26_e": "Report E's ResNet with 26 layers: three blocks a stage in place of two",
    "resnet34_e": "Report E's ResNet with 34 layers as its listing builds it: four blocks in every stage",
    **{
        f"resnet{depth}": f"ResNet-{depth}, the ResNet paper's for CIFAR-10: three stages, shortcuts padded with zeros"
        for depth in (20, 32, 56, 110)
    },
    **{
        f"se_resnet{depth}": f"ResNet-{depth}, the ResNet paper's for CIFAR-10, with squeeze-and-excite in every block"
        for depth in (20, 56, 110)
    },
    "wide_resnet28_10": "Wide ResNet with 28 layers and ten times the channels, normalised before every convolution",
    **{f"resnet{depth}_imagenet": f"ResNet-{depth} as torchvision builds it for ImageNet" for depth in _DEPTHS},
    "alexnet_imagenet": "AlexNet as torchvision builds it for ImageNet",
    **{
        f"vgg{depth}_bn_imagenet": f"VGG-{depth} with batch normalisation as torchvision builds it for ImageNet"
        for depth in (11, 13, 16, 19)
    },
    "densenet121_imagenet": "DenseNet-121 as torchvision builds it for ImageNet",
}
"""Name of a network -> what it is."""
