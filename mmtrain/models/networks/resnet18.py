"""MONAI's ResNet-18 over the volumes."""

from mmtrain.models.resnet import resnet

ARCHITECTURE = resnet(18)
