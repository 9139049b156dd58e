"""Autograd, modules, losses, optimizers, autocast, transforms, threads and processes."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pytest_applesilicon.simulate import counters

# torch's own modules use what torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

MODULES = {
    "Linear": (lambda: nn.Linear(4, 3), (2, 4)),
    "Conv1d": (lambda: nn.Conv1d(4, 3, 2), (2, 4, 6)),
    "Conv2d": (lambda: nn.Conv2d(4, 3, 2, padding=1), (2, 4, 6, 6)),
    "Conv2d_groups": (lambda: nn.Conv2d(4, 4, 3, groups=4, stride=2), (2, 4, 6, 6)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 3, 2), (2, 4, 5, 5)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), (2, 4, 3, 3)),
    "LayerNorm": (lambda: nn.LayerNorm(4), (2, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3)),
    "RMSNorm": (lambda: nn.RMSNorm(4), (2, 4)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4), (2, 4, 3, 3)),
    "LSTM": (lambda: nn.LSTM(4, 3, 2, bidirectional=True, batch_first=True), (2, 5, 4)),
    "GRU": (lambda: nn.GRU(4, 3), (5, 2, 4)),
    "RNN": (lambda: nn.RNN(4, 3), (5, 2, 4)),
    "LSTMCell": (lambda: nn.LSTMCell(4, 3), (2, 4)),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True),
        (2, 5, 4),
    ),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (2, 4, 6, 6)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (2, 4, 6, 6)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(2), (2, 4, 6, 6)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 3)),
    "GELU": (lambda: nn.GELU(), (2, 4)),
    "Softmax": (lambda: nn.Softmax(-1), (2, 4)),
    "PReLU": (lambda: nn.PReLU(), (2, 4)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (1, 4, 3, 3)),
}


def first(result):
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", MODULES)
def test_a_module_learns_and_predicts_as_on_the_cpu(name):
    make, shape = MODULES[name]
    torch.manual_seed(0)
    reference, x = make(), torch.randn(shape)
    module = copy.deepcopy(reference).to("mps")
    inputs = [x.clone().requires_grad_(), x.to("mps").requires_grad_()]
    results = [first(m(i)) for m, i in zip([reference, module], inputs, strict=True)]
    for result in results:
        result.square().sum().backward()

    torch.testing.assert_close(results[1].cpu(), results[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(inputs[1].grad.cpu(), inputs[0].grad, rtol=1e-4, atol=1e-5)
    for mine, other in zip(module.parameters(), reference.parameters(), strict=True):
        assert mine.grad.device.type == "mps"
        torch.testing.assert_close(mine.grad.cpu(), other.grad, rtol=1e-4, atol=1e-5)
    module.eval()
    reference.eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            first(module(x.to("mps"))).cpu(), first(reference(x)), rtol=1e-4, atol=1e-5
        )


def test_embeddings():
    table = nn.Embedding(10, 3, padding_idx=0).to("mps")
    bag = nn.EmbeddingBag(10, 3, mode="sum").to("mps")
    places = torch.tensor([[1, 2], [0, 4]], device="mps")
    (table(places).sum() + bag(places).sum()).backward()

    assert table.weight.grad[:5].sum(1).tolist() == [0, 3, 3, 0, 3]
    assert bag.weight.grad[:5].sum(1).tolist() == [3, 3, 3, 0, 3]


def test_attention():
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(4, 2, batch_first=True)
    module, x = copy.deepcopy(reference).to("mps"), torch.randn(2, 3, 4)
    there = x.to("mps")

    torch.testing.assert_close(module(there, there, there)[0].cpu(), reference(x, x, x)[0])


def test_an_lstm_reaches_the_fused_kernel():
    module = nn.LSTM(4, 3).to("mps")
    with counters.counted() as counts:
        module(torch.randn(5, 2, 4, device="mps"))[0].sum().backward()

    assert counts.operators["aten::_lstm_mps"] == counts.operators["aten::lstm_mps_backward"] == 1
    assert "aten::sigmoid" not in counts.operators


def test_a_convolution_is_one_kernel():
    with counters.counted() as counts:
        nn.Conv2d(3, 4, 3).to("mps")(torch.randn(1, 3, 8, 8, device="mps"))

    assert counts.operators["aten::convolution"] == 1


LOSSES = {
    "mse": lambda x, y: nn.functional.mse_loss(x, y),
    "l1": lambda x, y: nn.functional.l1_loss(x, y),
    "smooth_l1": lambda x, y: nn.functional.smooth_l1_loss(x, y),
    "huber": lambda x, y: nn.functional.huber_loss(x, y),
    "bce_logits": lambda x, y: nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid()),
    "cross_entropy": lambda x, y: nn.functional.cross_entropy(x, y.argmax(1)),
    "kl": lambda x, y: nn.functional.kl_div(x.log_softmax(1), y.softmax(1), reduction="batchmean"),
    "nll": lambda x, y: nn.functional.nll_loss(x.log_softmax(1), y.argmax(1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_the_cpus(name):
    torch.manual_seed(1)
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    sides = [x.clone().requires_grad_(), x.to("mps").requires_grad_()]
    losses = [LOSSES[name](sides[0], y), LOSSES[name](sides[1], y.to("mps"))]
    for loss in losses:
        loss.backward()

    torch.testing.assert_close(losses[1].cpu(), losses[0])
    torch.testing.assert_close(sides[1].grad.cpu(), sides[0].grad)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "SGD_foreach": lambda p: torch.optim.SGD(p, lr=0.1, foreach=True),
    "SGD_fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "Adam_amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "Adam_foreach": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "Adam_fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    "AdamW_fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.1),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_the_cpus_steps(name):
    torch.manual_seed(2)
    reference, x = nn.Linear(4, 2), torch.randn(8, 4)
    modules = [reference, copy.deepcopy(reference).to("mps")]
    for module in modules:
        optimizer, data = OPTIMIZERS[name](module.parameters()), x.to(module.weight.device)

        def closure(module=module, optimizer=optimizer, data=data):
            optimizer.zero_grad()
            loss = module(data).square().mean()
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)

    for mine, other in zip(modules[1].parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.cpu(), other, rtol=1e-4, atol=1e-5)


def test_capturable_is_refused_as_for_mps():
    module = nn.Linear(2, 2).to("mps")
    module(torch.ones(1, 2, device="mps")).sum().backward()
    with pytest.raises((RuntimeError, AssertionError), match="capturable"):
        torch.optim.Adam(module.parameters(), capturable=True, foreach=False).step()


def test_gradients_are_clipped():
    module = nn.Linear(4, 2).to("mps")
    module(torch.ones(3, 4, device="mps")).sum().backward()
    nn.utils.clip_grad_norm_(module.parameters(), 0.5)

    total = sum(p.grad.square().sum() for p in module.parameters()).sqrt()
    assert total.item() == pytest.approx(0.5, rel=1e-4)


def test_a_state_dict_crosses_the_devices():
    module, other = nn.Linear(3, 2).to("mps"), nn.Linear(3, 2)
    other.load_state_dict(module.state_dict())

    assert torch.equal(other.weight, module.weight.cpu())


def test_second_derivatives():
    x = torch.tensor([2.0], device="mps", requires_grad=True)
    (slope,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)

    assert (slope.item(), bend.item()) == (12, 12)


def test_hooks_and_custom_functions():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, upstream):
            return upstream * 2

    seen = []
    x = torch.ones(2, device="mps", requires_grad=True)
    x.register_hook(lambda grad: seen.append(str(grad.device)))
    Double.apply(x).sum().backward()

    assert x.grad.tolist() == [2, 2]
    assert seen == ["mps:0"]


def test_a_graph_may_cross_the_devices():
    x = torch.ones(2, requires_grad=True)
    (x.to("mps") * 3).cpu().sum().backward()

    assert x.grad.device.type == "cpu"
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(reentrant):
    x = torch.ones(2, device="mps", requires_grad=True)
    checkpoint(lambda t: (t * 2).exp(), x, use_reentrant=reentrant).sum().backward()

    torch.testing.assert_close(x.grad.cpu(), 2 * torch.exp(torch.tensor([2.0, 2.0])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype):
    module = nn.Linear(4, 4).to("mps")
    with torch.autocast("mps", dtype=dtype):
        result = module(torch.ones(2, 4, device="mps"))
        total = result.softmax(-1)

    assert result.dtype == dtype
    assert total.dtype == torch.float32


def test_a_gradient_scaler():
    module = nn.Linear(4, 2).to("mps")
    optimizer, scaler = (
        torch.optim.SGD(module.parameters(), lr=0.1),
        torch.amp.GradScaler("mps", 128.0),
    )
    before = module.weight.detach().clone()
    with torch.autocast("mps", dtype=torch.float16):
        loss = module(torch.ones(2, 4, device="mps")).float().sum()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()

    torch.testing.assert_close(module.weight, before - 0.2)


TRANSFORMS = {
    "vmap": lambda f, x: torch.func.vmap(f)(x),
    "grad": lambda f, x: torch.func.grad(lambda t: f(t).sum())(x),
    "jacrev": lambda f, x: torch.func.jacrev(f)(x),
    "jacfwd": lambda f, x: torch.func.jacfwd(f)(x),
    "jvp": lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
    "vjp": lambda f, x: torch.func.vjp(f, x)[1](torch.ones_like(x))[0],
    "hessian": lambda f, x: torch.func.hessian(lambda t: f(t).sum())(x),
    "vmap_grad": lambda f, x: torch.func.vmap(torch.func.grad(lambda t: f(t).sum()))(x),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_function_transform(name):
    x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))

    def call(t):
        return (t.sin() * 2 + t**3).cumsum(-1)

    found = TRANSFORMS[name](call, x.to("mps"))

    assert found.device.type == "mps"
    torch.testing.assert_close(found.cpu(), TRANSFORMS[name](call, x))


def test_fake_tensors():
    with torch._subclasses.FakeTensorMode():
        x = torch.ones(2, 3, device="mps")
        assert (x @ x.t()).shape == (2, 2)
        assert x.device.type == "mps"


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compile_without_inductor(backend):
    torch._dynamo.reset()
    call = torch.compile(lambda x: (x * 2).relu().sum(), backend=backend)
    x = torch.ones(3, device="mps", requires_grad=True)
    result = call(x)
    result.backward()

    assert result.item() == 6
    assert x.grad.tolist() == [2, 2, 2]


def test_torchscript_and_export():
    x = torch.ones(2, 2, device="mps")
    module = nn.Linear(2, 2).to("mps")
    traced = torch.jit.trace(module, x)
    exported = torch.export.export(module, (x,))

    assert torch.equal(traced(x), module(x))
    assert torch.equal(exported.module()(x), module(x))


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, place):
        return torch.tensor([float(place)])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader(workers):
    context = {"multiprocessing_context": "spawn"} if workers else {}
    loader = torch.utils.data.DataLoader(Numbers(), batch_size=4, num_workers=workers, **context)
    batches = [batch.to("mps") for batch in loader]

    assert torch.cat(batches).flatten().tolist() == list(range(8))


def test_threads_train_side_by_side():
    sums, errors = [], []

    def train(seed):
        try:
            x = torch.full((4,), float(seed), device="mps", requires_grad=True)
            for _ in range(20):
                (x * x).sum().backward()
            sums.append(x.grad.sum().item() / (20 * 8 * seed))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (sums, errors) == ([1, 1, 1, 1], [])


def test_the_profiler_runs():
    with torch.profiler.profile() as profile:
        torch.ones(3, device="mps").add(1)

    assert any(event.key == "aten::add" for event in profile.key_averages())


def test_jagged_nested_tensors():
    x = torch.nested.nested_tensor(
        [torch.ones(2, 3, device="mps"), torch.ones(1, 3, device="mps")], layout=torch.jagged
    )

    assert (x * 2).values().sum().item() == 18
