"""Faster R-CNN on a trained classifier: all stages but the last see the whole image, the last sees each region (C4).

S. Ren, K. He, R. Girshick and J. Sun, Faster R-CNN, NeurIPS 2015, arXiv:1506.01497; torchvision's, with the heads that
Detectron2 calls C4, which AutoMix's Table 5 has, and as many proposals as Detectron2. As in MoCo's configurations
another batch norm follows the last stage. The losses of boxes, the rounding of anchors and the alignment of regions are
torchvision's, which differ from Detectron2's.

Shape letters: B regions, C channels, H height, W width of a map, D features.
"""

import copy

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from trainables.backbones.backbone import Backbone, Network
from trainables.detection.fine_tuning import Recipe

ASPECTS = (0.5, 1.0, 2.0)
REGION = 14  # cells a side of a region, before the last stage


class Body(nn.Sequential):
    """Every stage but the last: images (B, 3, H, W) to the map (B, C, H, W) in which regions are proposed."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__(*stages)
        with torch.no_grad():
            self.out_channels = self.eval()(torch.zeros(1, 3, 64, 64)).shape[1]


def faster_rcnn(network: Network, num_classes: int, recipe: Recipe) -> FasterRCNN:
    """Return a detector whose parts start from a copy of a classifier.

    The background is not among the classes. ``ValueError`` refuses a classifier that does not end with the mean of its
    last map.
    """
    backbone = copy.deepcopy(network.backbone).cpu()
    if type(backbone).pool is not Backbone.pool:
        name = type(backbone).__name__
        raise ValueError(f"a detector needs a network that ends with the mean of its last map, unlike {name}")
    *first, last = backbone.stages
    features = backbone.head.in_features
    return FasterRCNN(
        Body(*first),
        min_size=recipe.sides,  # torchvision draws one in training, and tests at the last
        max_size=recipe.longest,
        image_mean=network.mean.flatten().tolist(),
        image_std=network.std.flatten().tolist(),
        rpn_anchor_generator=AnchorGenerator((recipe.anchors,), (ASPECTS,)),
        rpn_pre_nms_top_n_train=12_000,
        rpn_pre_nms_top_n_test=6_000,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=REGION, sampling_ratio=0),
        # (B, C, 14, 14) to (B, D)
        box_head=nn.Sequential(last, nn.BatchNorm2d(features), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        box_batch_size_per_image=recipe.regions,
        box_predictor=FastRCNNPredictor(features, num_classes + 1),
    )
