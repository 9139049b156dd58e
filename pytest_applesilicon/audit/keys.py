"""What tells the calls of a process apart: keys of a dictionary, made of what a call is given.

``Keys.part`` is for the calls of an operator that are told apart in full, ``Keys.coarse`` for those
of an operator that has too many of them. The dtype that torch makes tensors of by default is part
of both: of a factory, it is that of the result.
"""

from __future__ import annotations

from typing import Any


class Keys:
    """Makes keys; it holds what it needs of torch, because it runs for each call."""

    def __init__(self, torch: Any) -> None:
        self.tensor, self.parameter = torch.Tensor, torch.nn.Parameter
        #: Classes whose values are small, and have a hash.
        self.plain = frozenset(
            {int, bool, str, type(None), torch.dtype, torch.device, torch.layout,
             torch.memory_format}
        )  # fmt: skip
        #: Classes of which a coarse key has no more than the class.
        self._simple = frozenset({int, float, bool, str, type(None)})
        #: Those whose values say of what kind a result is, or where.
        self._deciding = frozenset({torch.dtype, torch.device})
        self._size = torch.Size
        self.default = torch.get_default_dtype

    def part(self, value: Any) -> Any:
        """An argument that is neither a plain tensor nor plain."""
        if isinstance(value, self.tensor):
            return (value.dtype, value.shape, value.is_contiguous(), value.requires_grad,
                    value.is_cpu)  # fmt: skip
        if value.__class__ is list:
            # Sizes and dimensions: most lists are of these, and all of one kind.
            if value and value[0].__class__ is int:
                return tuple(value)
            return tuple([self.part(one) for one in value])
        return value if value.__class__ in self.plain else value.__class__

    def whole(self, func: Any, args: Any) -> Any:
        """The key of a call with positional arguments only."""
        return (id(func), self.default(), *[self.part(one) for one in args])

    def coarse(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What tells the calls of a crowded operator apart: dtypes, and whether on the host."""
        key = [id(func), self.default()]
        tensor, parameter = self.tensor, self.parameter
        for one in args:
            kind = one.__class__
            if kind is tensor or kind is parameter:
                key += (one.dtype, one.is_cpu)
            else:
                key.append(kind if kind in self._simple else self._kind(one))
        if kwargs:
            key += [(name, self._kind(one)) for name, one in kwargs.items()]
        return tuple(key)

    def _kind(self, value: Any) -> Any:
        """What decides of an argument; the tensors of a list are few kinds, however many."""
        kind = value.__class__
        if kind in self._deciding:
            return value
        if isinstance(value, self.tensor):
            return value.dtype, value.is_cpu
        if kind is list and value and value[0].__class__ is not int:
            return frozenset([self._kind(one) for one in value])
        return kind

    def kept(self, key: Any) -> Any:
        """The same key as one that may stay.

        A torch.Size is one more object for the collector of garbage; as a tuple it is none.
        """
        size = self._size
        return tuple([tuple(one) if one.__class__ is size else one for one in key])
