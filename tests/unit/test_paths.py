"""Other paths of the host give the same result, and none is given where they would not."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement import oracle, paths  # noqa: E402


def sample(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sizes(seen: list[int], call: Any) -> Any:
    def noted(*args: Any, **kwargs: Any) -> Any:
        if args[0].dtype is not torch.float64:
            seen.append(args[0].shape[0])
        return call(*args, **kwargs)

    return noted


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (torch.exp, (sample(5, 3),)),
        (torch.add, (sample(4, 3), sample(4, 3, seed=1))),
        (torch.mul, (sample(4, 3), sample(3))),
        (torch.nn.functional.linear, (sample(6, 4), sample(3, 4))),
        # The weight is as long as the batch, and stays whole.
        (torch.matmul, (sample(4, 4), sample(4, 4, seed=1))),
        (lambda x: torch.topk(x, 2, dim=1), (sample(4, 5),)),
        (lambda pair: pair[0] * pair[1], ([sample(4, 2), sample(4, 2)],)),
        (torch.argmax, (sample(4, 5), 1)),
        (torch.nn.functional.embedding, (torch.tensor([1, 0, 2]), sample(3, 4))),
        (
            lambda x, at: torch.nn.functional.cross_entropy(x, at, reduction="none"),
            (sample(4, 3), torch.tensor([0, 2, 1, 0])),
        ),
    ],
    ids=[
        "exp",
        "add",
        "mul",
        "linear",
        "square-matmul",
        "topk",
        "list",
        "argmax",
        "embedding",
        "cross-entropy",
    ],
)
def test_two_halves_joined_are_the_whole_in_its_own_dtype(call: Any, args: Any):
    seen: list[int] = []
    noted = sizes(seen, call) if isinstance(args[0], torch.Tensor) else call

    joined = paths.split_batch(noted, args, {})

    assert joined is not None
    for one, whole in zip(joined, oracle.leaves(call(*args)), strict=True):
        assert one.dtype is whole.dtype
        torch.testing.assert_close(one, whole)
    if seen:
        size = args[0].shape[0]
        assert seen[-2:] == [size // 2, size - size // 2]


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (lambda x: x.softmax(0), (sample(4, 3),)),
        (lambda x: x.cumsum(0), (sample(4, 3),)),
        (lambda x: x - x.mean(0), (sample(4, 3),)),
        (torch.sum, (sample(4, 3),)),
        (torch.flip, (sample(4, 3), (0,))),
        (torch.trace, (sample(4, 4),)),
        (torch.exp, (torch.tensor(1.0),)),
        (torch.exp, (sample(1, 3),)),
        (torch.exp, (sample(0, 3),)),
        (torch.exp, (sample(4, 3).to_sparse(),)),
        (lambda x: x.argmax(0), (sample(4, 4),)),
        (lambda x: len(x), (sample(4, 3),)),
    ],
)
def test_where_the_halves_are_another_result_there_is_no_such_path(call: Any, args: Any):
    assert paths.split_batch(call, args, {}) is None


def test_statistics_as_long_as_the_batch_stay_whole():
    """The kernel reads them past their end where they are halved too."""
    lengths = []

    def call(x: Any, mean: Any, var: Any) -> Any:
        lengths.append(len(mean))
        return torch.nn.functional.batch_norm(x, mean, var)

    found = paths.split_batch(call, (sample(4, 4), torch.zeros(4), torch.ones(4)), {})

    assert found is not None
    assert set(lengths) == {4}


def test_a_call_that_writes_into_its_input_is_given_copies():
    given = sample(4, 3)
    before = given.clone()

    assert torch.equal(paths.split_batch(torch.Tensor.exp_, (given,), {})[0], before.exp())
    assert torch.equal(paths.other_threads(torch.Tensor.exp_, (given,), {})[0], before.exp())
    assert torch.equal(given, before)


@pytest.mark.parametrize(("threads", "other"), [(1, 2), (2, 1)])
def test_the_call_is_made_with_another_number_of_threads_which_is_restored(threads, other):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    seen = []

    def call(x: Any) -> Any:
        seen.append(torch.get_num_threads())
        return x.sum(), x + 1

    def refuse(x: Any) -> Any:
        raise RuntimeError("no")

    try:
        found = paths.other_threads(call, (sample(300, 300),), {})
        assert paths.other_threads(refuse, (sample(3),), {}) is None
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert seen == [other]
    assert len(found) == 2


def test_the_default_dtype_is_restored_where_the_call_fails():
    def refuse(x: Any) -> Any:
        raise RuntimeError("no")

    assert paths.split_batch(refuse, (sample(4, 3),), {}) is None
    assert torch.get_default_dtype() is torch.float32
