"""Networks by name: `build("lenet", (32, 32, 1), 10, dropout=0.2)`."""

from kmodels.models.alexnet import alexnet
from kmodels.models.convnet import convnet
from kmodels.models.densenet import densenet
from kmodels.models.ensemble import ensemble
from kmodels.models.lenet import lenet
from kmodels.models.macs import count_macs
from kmodels.models.normalization import takes_stored_images, with_normalization
from kmodels.models.plain_net import plain_net
from kmodels.models.preset import Preset
from kmodels.models.registry import MODELS, average_net, build
from kmodels.models.resnet import resnet
from kmodels.models.size import Size, size_of
from kmodels.models.torchvision import from_torchvision
from kmodels.models.vgg import vgg

__all__ = [
    "MODELS",
    "Preset",
    "Size",
    "alexnet",
    "average_net",
    "build",
    "convnet",
    "count_macs",
    "densenet",
    "ensemble",
    "from_torchvision",
    "lenet",
    "plain_net",
    "resnet",
    "size_of",
    "takes_stored_images",
    "vgg",
    "with_normalization",
]
