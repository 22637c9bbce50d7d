"""A small anchor-free detector: where a shape's middle is, and how far its edges are from there.

It follows torchvision's convention: `forward(images, targets)` gives a dict of losses in training,
`forward(images)` a list with boxes, labels and scores of each image in evaluation.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

STRIDE = 4  # pixels of an image that one cell of the grid sees
MOST = 20  # shapes an image that are answered, at most
FAINT = 0.05  # score below which nothing is answered


def build(inputs) -> nn.Module:
    """Build the network for images (n, channels, height, width). Instar calls this."""
    return Detector(inputs.image[0], inputs.outputs)


def block(channels: int, width: int, stride: int) -> list[nn.Module]:
    """Convolve, normalise, rectify."""
    layer = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(width), nn.ReLU()]


class Detector(nn.Module):
    """Answer a grid of heat for each class, and of reaches: left, up, right, down, in cells.

    Source: Zhou et al. 2019, "Objects as Points" (heat, its loss, its peaks); Tian et al. 2019,
    "FCOS" (reaches).
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *block(channels, 16, 2), *block(16, 32, 2), *block(32, 48, 1), *block(48, 48, 1)
        )
        self.heat, self.reach = nn.Conv2d(48, classes, 1), nn.Conv2d(48, 4, 1)
        nn.init.constant_(self.heat.bias, -3.0)  # most cells see no middle

    def forward(self, images, targets=None) -> list | dict:
        """Give losses in training, and what is found in evaluation."""
        seen = self.body(images)
        heat, reach = self.heat(seen), functional.softplus(self.reach(seen))
        if not self.training:
            heat = heat.sigmoid()
            peak = functional.max_pool2d(heat, 3, stride=1, padding=1) == heat
            return [found(*one) for one in zip(heat * peak, reach, strict=True)]
        return losses(heat, reach, targets)


def found(heat: torch.Tensor, reach: torch.Tensor) -> dict[str, torch.Tensor]:
    """Read the shapes of one image off its peaks, (classes, h, w) and (4, h, w)."""
    width = heat.shape[2]
    scores, places = heat.flatten().topk(MOST)
    cells = places % heat[0].numel()
    middle = torch.stack([cells % width, cells // width], dim=1) + 0.5
    around = reach.flatten(1).T[cells]  # (20, 4)
    boxes = torch.cat([middle - around[:, :2], middle + around[:, 2:]], dim=1) * STRIDE
    sure = scores > FAINT
    labels = places // heat[0].numel() + 1  # 0 is the background
    return {"boxes": boxes[sure], "labels": labels[sure], "scores": scores[sure]}


def losses(heat, reach, targets) -> dict[str, torch.Tensor]:
    """Judge heat by a focal loss that forgives the middle's neighbours, reaches at middles."""
    counts = torch.tensor([len(target["labels"]) for target in targets], device=heat.device)
    image = torch.arange(len(targets), device=heat.device).repeat_interleave(counts)  # (m,)
    boxes = torch.cat([target["boxes"] for target in targets]) / STRIDE  # (m, 4), in cells
    labels = torch.cat([target["labels"] for target in targets])
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).long().unbind(dim=1)
    places = (torch.arange(size, device=heat.device) for size in heat.shape[2:])
    down, right = torch.meshgrid(*places, indexing="ij")
    spread = ((boxes[:, 2:] - boxes[:, :2]).mean(dim=1) / 6).clamp(min=0.4)[:, None, None]
    far = (right - x[:, None, None]) ** 2 + (down - y[:, None, None]) ** 2
    near = torch.exp(-far / (2 * spread**2))  # (m, h, w)
    grid = (image * heat.shape[1] + labels - 1)[:, None, None].expand_as(near)
    wanted = torch.zeros_like(heat).flatten(0, 1).scatter_reduce(0, grid, near, "amax")
    wanted = wanted.view_as(heat)
    there, chance = wanted == 1, heat.sigmoid()
    hit = functional.logsigmoid(heat) * (1 - chance) ** 2
    miss = functional.logsigmoid(-heat) * chance**2 * (1 - wanted) ** 4
    middle = torch.stack([x, y], dim=1) + 0.5
    around = torch.cat([middle - boxes[:, :2], boxes[:, 2:] - middle], dim=1)
    apart = functional.smooth_l1_loss(reach[image, :, y, x], around, reduction="sum")
    return {
        "heat": -torch.where(there, hit, miss).sum() / max(1, len(labels)),
        "reach": apart / 4 / max(1, len(labels)),
    }
