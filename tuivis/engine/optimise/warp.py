"""Pictures seen through affine maps, with gradients that are the same in every run.

The gradient of torch's own interpolation adds up on a GPU in whatever order its threads come, so that the same seed
would not give the same picture twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def cut(images: Tensor, maps: Tensor) -> Tensor:
    """Return (N, C, H, W) `images` through maps (N, 2, 3) that do not turn, zero outside."""
    return products(images, maps) if images.is_cuda else _sampled(images, maps)


def turn(images: Tensor, maps: Tensor, window: int) -> Tensor:
    """Return (N, C, H, W) `images` through any maps (N, 2, 3), zero outside.

    A pixel of the picture must have a share in at most `window` times `window` pixels of the view.
    """
    if images.is_cuda:
        result: Tensor = _Turned.apply(images, maps, window)
        return result
    return _sampled(images, maps)


def products(images: Tensor, maps: Tensor) -> Tensor:
    """Return what `cut` returns, by one matrix product an axis."""
    height, width = images.shape[-2:]
    rows = _interpolation(height, maps[:, 1, 1], maps[:, 1, 2])
    columns = _interpolation(width, maps[:, 0, 0], maps[:, 0, 2])
    return rows[:, None] @ images @ columns[:, None].mT


def spread(gradient: Tensor, maps: Tensor, window: int) -> Tensor:
    """Return the gradient of `turn`'s pictures from that of its views, (N, C, H, W) both.

    Each pixel of a picture collects from the views' pixels that it has a share in, in a fixed order.
    """
    count, channels, height, width = gradient.shape
    a, b, across = (each.view(-1, 1, 1) for each in (maps[:, 0, 0], maps[:, 0, 1] * (width / height), maps[:, 0, 2]))
    c, d, down = (each.view(-1, 1, 1) for each in (maps[:, 1, 0] * (height / width), maps[:, 1, 1], maps[:, 1, 2]))
    # In pixels from the centre, picture = (a b; c d) view + shift.
    x = torch.arange(width, device=maps.device) - (width - 1) / 2 - across * (width / 2)
    y = (torch.arange(height, device=maps.device) - (height - 1) / 2)[:, None] - down * (height / 2)
    determinant = a * d - b * c
    # The first of the view's rows and columns that may have a share; those outside have a margin that is zero.
    column = ((d * x - b * y) / determinant + (width - 1 - window) / 2).ceil().clamp(-window, width)
    row = ((a * y - c * x) / determinant + (height - 1 - window) / 2).ceil().clamp(-window, height)
    x = x - a * (column - (width - 1) / 2) - b * (row - (height - 1) / 2)
    y = y - c * (column - (width - 1) / 2) - d * (row - (height - 1) / 2)
    stride = width + 2 * window
    first = ((row + window) * stride + column + window).long().view(count, 1, -1).expand(-1, channels, -1)
    flat = F.pad(gradient, (window, window, window, window)).flatten(2)
    result = torch.zeros_like(gradient)
    for i in range(window):
        for j in range(window):
            share = (1 - (x - (a * j + b * i)).abs_()).relu_() * (1 - (y - (c * j + d * i)).abs_()).relu_()
            values = flat[..., i * stride + j :].gather(2, first)
            result.addcmul_(values.view_as(gradient), share[:, None])
    return result


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, maps: Tensor, window: int) -> Tensor:
        ctx.save_for_backward(maps)
        ctx.window = window
        return _sampled(images, maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (maps,) = ctx.saved_tensors
        return spread(gradient.contiguous(), maps, ctx.window), None, None


def _sampled(images: Tensor, maps: Tensor) -> Tensor:
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


def _interpolation(size: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Return the (N, size, size) matrices that interpolate one axis at `scale * x + shift`, x and it in -1 .. 1."""
    pixels = torch.arange(size, device=scale.device)
    places = scale[:, None] * (pixels - (size - 1) / 2) + shift[:, None] * (size / 2) + (size - 1) / 2
    return (1 - (places[:, :, None] - pixels).abs()).clamp(min=0)
