"""MONAI's ResNet-50 over the volumes."""

from mmtrain.models.resnet import resnet

ARCHITECTURE = resnet(50)
