"""Why no gradient gets from a layer to the input: the module in which it is lost."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tuivis.engine.layout import tensors
from tuivis.engine.taps import Tap, at, blame, removed
from tuivis.errors import UserError, printable


class _FoundError(BaseException):
    """Ends the forward pass at the layer."""


def where_gradients_end(module: nn.Module, tap: Tap, batch: Tensor) -> UserError:
    """Return the error that names the first innermost module which takes something with a gradient, and gives none.

    `tap` is that of a layer which no gradient leads back from; `batch` is (1, C, H, W).
    """
    lost: list[tuple[str, nn.Module]] = []

    def look(name: str, part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        taken = any(tensor.requires_grad for _, tensor in tensors(inputs))
        given = [tensor for _, tensor in tensors(output)]
        # Gradients that are off outside the module are the doing of one around it.
        taken = taken and torch.is_grad_enabled()
        if taken and given and not any(tensor.requires_grad for tensor in given):
            lost.append((name, part))

    def enough(_output: Any) -> None:
        raise _FoundError

    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(blame(module))
        for name, part in module.named_modules():
            stack.enter_context(removed(part.register_forward_hook(partial(look, name))))
        stack.enter_context(at(module, tap, enough))
        with suppress(_FoundError):
            module(batch.clone().requires_grad_().clone())
    layer = printable(tap.layer)
    if not lost:
        return UserError(
            f"No gradient gets from {layer} to the input: around its modules the model uses torch.no_grad, detaches, "
            "or computes with integers; or the input does not influence this layer. Choose a layer before that."
        )
    name, part = lost[0]
    return UserError(
        f"No gradient gets from {layer} to the input: it ends in {printable(name) or 'its own forward'} "
        f"({type(part).__name__}), which detaches, uses torch.no_grad, or computes with integers. Look below it."
    )
