"""A GPU in words: every tensor says where it would lie, and values are computed on the CPU.

What would fail on a real one fails here: tensors of two places in one operation, a generator of another place, numpy of
what lies on the GPU. What C++ does inside of an operation is not seen, nor is speed or rounding.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
_MAKE = {
    torch.zeros, torch.ones, torch.full, torch.empty, torch.arange, torch.eye, torch.rand, torch.randn, torch.randint,
    torch.randperm, torch.linspace, torch.tensor, torch.as_tensor,
}  # fmt: skip
_ANYWHERE = (Tensor.__getitem__, Tensor.__setitem__, Tensor.copy_, torch._has_compatible_shallow_copy_type)
_DEVICE, _IS_CUDA, _GRAD = (getattr(Tensor, name).__get__ for name in ("device", "is_cuda", "grad"))
_SET_DATA = Tensor.data.__set__


class Elsewhere(RuntimeError):
    """Two places in one operation."""


class FakeGPU(TorchFunctionMode):
    """Where each tensor would lie."""

    def __init__(self) -> None:
        super().__init__()
        self.on: dict[int, Any] = {}

    def place(self, value: Tensor) -> torch.device:
        kept = self.on.get(id(value))
        return GPU if kept is not None and kept() is value else CPU

    def put(self, value: Any, device: torch.device) -> Any:
        for tensor in _tensors(value):
            if device.type == "cuda":
                self.on[id(tensor)] = ref(tensor)
            else:
                self.on.pop(id(tensor), None)
        return value

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func == _DEVICE:
            return self.place(args[0])
        if func == _IS_CUDA:
            return self.place(args[0]).type == "cuda"
        if func == _GRAD:
            found = func(*args)
            return found if found is None else self.put(found, self.place(args[0]))
        if func == _SET_DATA:
            self.put(args[0], self.place(args[1]))
            return func(*args)
        if func is Tensor.backward:
            with self:  # chunks of cached embeddings are computed again in there
                return torch.autograd.backward(args[0])
        if func is Tensor.to:
            return self._to(args, kwargs)
        if func is Tensor.cpu:
            return self.put(args[0].clone() if self.place(args[0]) == GPU else args[0], CPU)
        if func in (Tensor.numpy, Tensor.__array__) and self.place(args[0]) == GPU:
            raise Elsewhere("numpy of a tensor that lies on the GPU")
        wanted = kwargs.get("device")
        if wanted is not None:
            kwargs["device"] = CPU
            drawn = kwargs.get("generator")
            if drawn is not None and getattr(drawn, "lies", CPU).type != torch.device(wanted).type:
                raise Elsewhere(f"{func.__name__} with a generator of another place")
        here = self._common(func, args, kwargs)
        found = func(*args, **kwargs)
        if func in _MAKE:
            here = CPU if wanted is None else torch.device(wanted)
        elif wanted is not None:
            here = torch.device(wanted)
        return self.put(found, here) if here.type == "cuda" else found

    def _to(self, args: Any, kwargs: dict[str, Any]) -> Any:
        source, rest = args[0], list(args[1:])
        asked = [a for a in (*rest, *kwargs.values()) if isinstance(a, (torch.device, str))]
        like = [a for a in rest if isinstance(a, Tensor)]
        wanted = torch.device(asked[0]) if asked else self.place(like[0]) if like else self.place(source)
        dtype = next((a for a in (*rest, *kwargs.values()) if isinstance(a, torch.dtype)), source.dtype)
        if wanted.type == self.place(source).type and dtype == source.dtype:
            return source
        return self.put(Tensor.to(source, dtype=dtype, copy=True), wanted)

    def _common(self, func: Any, args: Any, kwargs: dict[str, Any]) -> torch.device:
        """Where the operation happens. A number may lie anywhere; row numbers of the CPU may be looked up anywhere."""
        tensors = _tensors((args, kwargs))
        if func in _ANYWHERE:
            return self.place(args[0])
        places = {self.place(t).type for t in tensors}
        if len(places) > 1:
            places = {self.place(t).type for t in tensors if t.dim() > 0}
        if len(places) > 1:
            raise Elsewhere(f"{getattr(func, '__name__', func)} of tensors that lie on {sorted(places)}")
        return GPU if places == {"cuda"} else CPU


class Drawn(torch.Generator):
    """A generator that knows where it would lie."""

    lies: torch.device

    def __new__(cls, device: torch.device | str = "cpu") -> Drawn:
        found: Drawn = super().__new__(cls)
        found.lies = torch.device(device)
        return found

    def __init__(self, device: torch.device | str = "cpu") -> None: ...

    def manual_seed(self, seed: int) -> Drawn:
        super().manual_seed(seed)
        return self


def _tensors(value: Any) -> list[Tensor]:
    """However deep; by hand, since torch's own way takes most of the time of a test."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [tensor for one in value for tensor in _tensors(one)]
