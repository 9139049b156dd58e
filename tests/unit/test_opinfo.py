"""torch's operator database is read completely, lazily and reproducibly, or says why it is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import random
import subprocess
import sys
import types
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_applesilicon import opinfo
from pytest_applesilicon.opinfo import (
    categories,
    database,
    kinds,
    module_records,
    operator_records,
    optimizer_records,
)
from pytest_applesilicon.opinfo.drawing import Stream, draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_applesilicon.opinfo import Operator, Sample

LACKING = [name for name in ("torch", "expecttest") if importlib.util.find_spec(name) is None]
needs_database = pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} not installed")

INVOCATIONS = "torch.testing._internal.common_methods_invocations"

#: Operators that round, whose samples do not show it: the float32 result is the rounded float64
#: result on every one of them. Each group says why; what is in no group must not pass.
ROUNDS_UNSEEN = {
    "one correctly rounded operation: rounding twice, from 53 bits to 24, is rounding once "
    "(Figueroa 1995)": """
        add mul sub div.no_rounding_mode true_divide __radd__ __rmul__ __rsub__ rsub reciprocal
        square outer kron nn.functional.prelu nn.functional.softshrink native_dropout_backward
        round.decimals_3 round.decimals_neg_3
    """,
    "computed in float64 on the CPU, or asked to": """
        arange cumsum cumprod float_power hypot linalg.vander masked.cumprod masked.cumsum
        std std.unbiased std_mean std_mean.unbiased var var.unbiased var_mean var_mean.unbiased
        softmax.with_dtype log_softmax.with_dtype nn.functional.softmin.with_dtype
    """,
    "rounds, then to an integer or a boolean: only near the edge would it show": """
        allclose isclose div.floor_rounding div.trunc_rounding floor_divide linalg.matrix_rank
        linalg.matrix_rank.hermitian remainder __rmod__ histc
    """,
    "no more than a few additions or multiplications for each element of its samples": """
        bmm.triton_optimized index_add linalg.norm.subgradients_at_zero
        max_pool2d_with_indices_backward put scatter_add scatter_reduce.mean scatter_reduce.prod
        scatter_reduce.sum trace index_put _unsafe_masked_index_put_accumulate
    """,
    "few samples, on which the math library rounds well": """
        angle cos erfinv exp exp2 expm1 lgamma log10 log2 logaddexp2 logcumsumexp nn.functional.elu
        nn.functional.celu signal.windows.gaussian tanh
    """,
}


#: The reviewed tables of kinds.
TABLES = (
    "METADATA",
    "DECOMPOSITION",
    "RANDOM",
    "NOT_RANDOM",
    "EXACT",
    "EXACT_UNLESS_COMPLEX",
    "SAME_DTYPE_ORACLE",
    "SELECTS",
)


@pytest.fixture
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("expecttest")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Records are read again, before the test and after it."""
    caches = (opinfo.operators, opinfo.modules, opinfo.optimizers)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def run(program: str) -> str:
    """What the program prints in an interpreter of its own, where it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def named(name: str) -> Operator:
    return next(operator for operator in opinfo.operators() if operator.name == name)


def version_is(torch: Any, version: str) -> bool:
    return str(torch.__version__).startswith(f"{version}.")


# What is imported when


def test_importing_the_module_imports_no_framework_and_no_numpy():
    program = (
        "import sys; import pytest_applesilicon.opinfo; "
        "print([name for name in ('torch', 'numpy', 'expecttest') if name in sys.modules])"
    )
    assert run(program) == "[]"


@needs_database
def test_reading_the_database_leaves_the_process_as_it_was():
    """torch's module locks torch.backends flags and some releases parse sys.argv."""
    program = """
import random, sys, warnings
import numpy, torch
warnings.simplefilter("error")
sys.argv = ["pytest", "--seed=3", "-f"]
before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
from pytest_applesilicon import opinfo
assert opinfo.operators() and opinfo.modules() and opinfo.optimizers()
after = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
assert sys.argv == ["pytest", "--seed=3", "-f"]
torch.backends.cudnn.benchmark = True
print("unchanged")
"""
    assert run(program) == "unchanged"


# Errors


@pytest.mark.skipif("torch" in LACKING, reason="torch is not installed")
def test_a_missing_expecttest_is_named_with_how_to_install_it_however_often_it_is_asked_for():
    """In a child: a torch module that was imported by half cannot be imported again."""
    program = """
import sys
sys.modules["expecttest"] = None
from pytest_applesilicon import opinfo
for read in (opinfo.operators, opinfo.operators, opinfo.modules, opinfo.optimizers):
    try:
        read()
    except opinfo.OpInfoError as error:
        print(error)
"""
    version = importlib.metadata.version("torch")
    lines = run(program).splitlines()
    assert len(lines) == 4
    assert set(lines) == {
        (
            f"torch {version}: its operator database needs expecttest, which is not installed: "
            "pip install 'pytest-applesilicon[torch]'. The environment, training and benchmark "
            "suites and assert_same do not need it and still work."
        )
    }


@pytest.mark.usefixtures("fresh")
def test_a_missing_torch_is_named_with_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        opinfo.OpInfoError, match=r"needs torch, which cannot be imported .*pip install"
    ):
        opinfo.operators()


@needs_database
@pytest.mark.usefixtures("fresh")
def test_a_moved_private_module_is_told_with_the_version_of_torch(torch, monkeypatch):
    monkeypatch.setitem(sys.modules, INVOCATIONS, None)
    with pytest.raises(opinfo.OpInfoError) as caught:
        opinfo.operators()
    assert f"torch {torch.__version__}: {INVOCATIONS} cannot be imported" in str(caught.value)
    assert "does not know the one of this torch" in str(caught.value)
    assert "still work." in str(caught.value)


@needs_database
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("read", "module", "database", "lost"),
    [
        (opinfo.operators, "common_methods_invocations", "op_db", "dtypesIfMPS"),
        (opinfo.modules, "common_modules", "module_db", "module_inputs_func"),
        (opinfo.optimizers, "common_optimizers", "optim_db", "supported_impls"),
    ],
    ids=["operators", "modules", "optimizers"],
)
def test_a_changed_attribute_is_named(torch, monkeypatch, read, module, database, lost):
    path = f"torch.testing._internal.{module}"
    entry = types.SimpleNamespace()
    attributes = (
        *operator_records._ATTRIBUTES,
        *module_records._ATTRIBUTES,
        *optimizer_records._ATTRIBUTES,
    )
    for attribute in {*attributes} - {lost}:
        setattr(entry, attribute, "")
    changed = types.ModuleType(path)
    setattr(changed, database, [entry])
    monkeypatch.setitem(sys.modules, path, changed)
    with pytest.raises(opinfo.OpInfoError, match=rf"an entry of {path}.{database} has no {lost}\."):
        read()


@needs_database
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("found", [None, []], ids=["missing", "empty"])
def test_a_missing_or_empty_list_is_told(torch, monkeypatch, found):
    changed = types.ModuleType(INVOCATIONS)
    if found is not None:
        changed.op_db = found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, INVOCATIONS, changed)
    with pytest.raises(opinfo.OpInfoError, match=r"op_db is missing or empty"):
        opinfo.operators()


@needs_database
def test_a_changed_sample_is_told(torch):
    lost = types.SimpleNamespace(input=1, args=(), kwargs={}, broadcasts_input=False)
    with pytest.raises(opinfo.OpInfoError, match=r"a sample .* has no output_process_fn_grad\."):
        operator_records._sample(lost)


# What the records hold


@needs_database
def test_every_operator_module_and_optimizer_of_torch_has_a_record_or_a_reason(torch):
    from torch.testing._internal.common_methods_invocations import op_db

    names = [operator.name for operator in opinfo.operators()]
    assert len(names) == len(set(names))
    assert not set(names) & set(opinfo.LEFT_OUT)
    left_out = {operator_records._name(info) for info in op_db} & set(opinfo.LEFT_OUT)
    assert len(names) + len(left_out) == len(op_db)
    if version_is(torch, "2.13"):
        assert len(op_db) == 702
        assert left_out == set(opinfo.LEFT_OUT)
        assert len(opinfo.modules()) == 114
        assert len(opinfo.optimizers()) == 15


@needs_database
def test_records_are_made_once(torch):
    assert opinfo.operators() is opinfo.operators()
    assert opinfo.modules() is opinfo.modules()
    assert opinfo.optimizers() is opinfo.optimizers()


@needs_database
def test_every_operator_has_a_sample_in_each_of_its_dtypes(torch):
    pairs = 0
    for operator in opinfo.operators():
        assert operator.dtypes, operator.name
        for dtype in sorted(operator.dtypes):
            assert len(list(operator.samples(dtype, seed=0, count=1))) == 1, (operator.name, dtype)
            pairs += 1
    if version_is(torch, "2.13"):
        # 55 more with the operators that are left out.
        assert pairs == 4757


@needs_database
def test_dtypes_are_of_the_ten_and_gradients_where_autograd_is_supported(torch):
    for operator in opinfo.operators():
        assert operator.dtypes | operator.mps_dtypes <= set(opinfo.DTYPES)
        assert operator.gradient_dtypes <= {"float32", "float16"} & operator.dtypes
        assert operator.mps_gradient_dtypes <= {"float32", "float16"} & operator.mps_dtypes
    assert named("nn.functional.gelu").gradient_dtypes == {"float32", "float16"}
    assert named("argmax").gradient_dtypes == frozenset()


@needs_database
@pytest.mark.parametrize(
    ("name", "kind", "category"),
    [
        ("add", "floating", "pointwise"),
        ("nn.functional.gelu", "floating", "nn"),
        ("linalg.norm.subgradients_at_zero", "floating", "linear algebra"),
        ("signal.windows.exponential", "floating", "creation"),
        ("sort", "exact", "sorting"),
        ("gather", "exact", "indexing"),
        ("round", "exact", "pointwise"),
        ("round.decimals_3", "floating", "pointwise"),
        ("permute", "exact", "view"),
        ("normal.in_place", "random", "random"),
        ("nn.functional.rrelu", "random", "nn"),
        ("nn.functional.dropout2d", "random", "random"),
        ("linalg.svd", "decomposition", "linear algebra"),
        ("linalg.eigvalsh", "floating", "linear algebra"),
        ("empty_like", "metadata", "creation"),
        ("fft.fft2", "floating", "fft"),
        ("special.i1", "floating", "special"),
        ("masked.amax", "exact", "reduction"),
    ],
)
def test_kind_and_category_of_some_operators(torch, name, kind, category):
    assert (named(name).kind, named(name).category) == (kind, category)


@needs_database
def test_every_category_is_known_and_used(torch):
    assert {operator.category for operator in opinfo.operators()} == set(categories.CATEGORIES)


@needs_database
def test_every_name_in_the_reviewed_tables_exists(torch):
    if not version_is(torch, "2.13"):
        pytest.skip("the tables are reviewed against torch 2.13")
    from torch.testing._internal.common_methods_invocations import op_db

    names = {operator_records._name(info) for info in op_db}
    tables = {table: getattr(kinds, table) for table in TABLES}
    tables["ROUNDS_UNSEEN"] = frozenset(" ".join(ROUNDS_UNSEEN.values()).split())
    unknown = {table: sorted(found - names) for table, found in tables.items() if found - names}
    assert unknown == {}
    assert categories.tabled() <= names | {info.name for info in op_db}


def test_no_name_stands_in_two_kinds_or_twice_in_a_table():
    groups = (kinds.METADATA, kinds.DECOMPOSITION, kinds.RANDOM, kinds.EXACT)
    assert [
        name for name, times in Counter(n for g in groups for n in g).items() if times > 1
    ] == []
    tables = [*categories._TABLES.values(), *ROUNDS_UNSEEN.values()]
    for names in (tables[: len(categories._TABLES)], tables[len(categories._TABLES) :]):
        listed = Counter(" ".join(names).split())
        assert [name for name, times in listed.items() if times > 1] == []


# Kinds, found out by running


@needs_database
def test_exact_operators_give_the_float64_result_and_no_other_does(torch):
    exact, floating = [], []
    for operator in opinfo.operators():
        if "float32" in operator.dtypes and operator.name not in kinds.SAME_DTYPE_ORACLE:
            {"exact": exact, "floating": floating}.get(operator.kind, []).append(operator)
    assert len(exact) > 200
    assert [operator.name for operator in exact if not is_exact(torch, operator, seed=0)] == []
    for seed in range(8):
        floating = [operator for operator in floating if is_exact(torch, operator, seed=seed)]
    reviewed = set(" ".join(ROUNDS_UNSEEN.values()).split())
    assert {operator.name for operator in floating} - reviewed == set()


@needs_database
def test_an_operator_that_rounds_is_found_not_to_be_exact(torch):
    assert not is_exact(torch, named("sum"), seed=0)
    assert is_exact(torch, named("sort"), seed=0)


def is_exact(torch: Any, operator: Operator, *, seed: int) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some operators are deprecated
        return all(
            _rounds_to(torch, operator, sample)
            for sample in operator.samples("float32", seed=seed, count=None)
        )


def _rounds_to(torch: Any, operator: Operator, sample: Sample) -> bool:
    from torch.utils._pytree import tree_leaves, tree_map

    def copy(value: Any) -> Any:
        # A clone has another storage, which as_strided would leave.
        partial = operator.name == "as_strided.partial_views"
        return value.clone() if isinstance(value, torch.Tensor) and not partial else value

    def widened(value: Any) -> Any:
        if value is torch.float32:
            return torch.float64
        if not isinstance(value, torch.Tensor) or value.dtype is not torch.float32:
            return copy(value)
        if value._base is None:
            return value.double()
        base = value._base.double()
        return base.as_strided(value.shape, value.stride(), value.storage_offset())

    narrow = operator.call(sample, args=tree_map(copy, sample.args))
    args, kwargs = tree_map(widened, (sample.args, dict(sample.kwargs)))
    wide = operator.call(sample, args=args, kwargs=kwargs)
    pairs = zip(tree_leaves(narrow), tree_leaves(wide), strict=True)
    return all(_same(torch, left, right) for left, right in pairs)


def _same(torch: Any, narrow: Any, wide: Any) -> bool:
    if not isinstance(narrow, torch.Tensor):
        return bool(narrow == wide)
    left, right = narrow.to_dense(), wide.to_dense().to(narrow.dtype)
    if left.is_complex():
        left, right = (
            torch.view_as_real(x.to(torch.complex64).resolve_conj()) for x in (left, right)
        )
    elif left.dtype.itemsize == 8 and not left.dtype.is_signed:
        return bool((left == right).all())
    return bool(torch.equal(left.isnan(), right.isnan())) and bool(
        torch.equal(left.nan_to_num(0.0), right.nan_to_num(0.0))
        if left.is_floating_point()
        else torch.equal(left, right)
    )


@needs_database
def test_the_kind_of_one_call_can_be_another(torch):
    attention = named("nn.functional.scaled_dot_product_attention")
    found = {
        (sample.kwargs["dropout_p"] == 0, attention.kind_of(sample))
        for sample in attention.samples("float32", seed=0, count=None)
        if "dropout_p" in sample.kwargs
    }
    assert found == {(True, "floating"), (False, "random")}
    magnitude = named("abs")
    for dtype, kind in (("float32", "exact"), ("complex64", "floating")):
        sample = next(magnitude.samples(dtype, seed=0, count=1))
        assert magnitude.kind_of(sample) == kind


# Samples


def bits(torch: Any, samples: Iterator[Sample]) -> list[Any]:
    from torch.utils._pytree import tree_leaves

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.detach().numpy().tobytes()
        return getattr(value, "__name__", value)

    return [[plain(leaf) for leaf in tree_leaves((s.args, dict(s.kwargs)))] for s in samples]


#: Its samples come of torch's generator, and of Python's (an ignored class is drawn).
DRAWN = ("add", "nn.functional.cross_entropy", "nn.functional.huber_loss")


@needs_database
@pytest.mark.parametrize("name", DRAWN)
def test_samples_depend_on_the_seed_alone_and_not_on_order_or_global_state(torch, name):
    operator = named(name)
    first = bits(torch, operator.samples("float32", seed=1, count=None))
    torch.rand(3), random.random(), np.random.rand()
    list(named("mul").samples("float32", seed=1, count=3))
    again = []
    for sample in operator.samples("float32", seed=1, count=None):
        torch.rand(3), random.random(), np.random.rand()
        again += bits(torch, iter([sample]))
    assert first == again
    assert first != bits(torch, operator.samples("float32", seed=2, count=None))


@needs_database
def test_two_operators_with_the_same_samples_draw_other_numbers(torch):
    add, mul = (
        bits(torch, named(name).samples("float32", seed=0, count=1)) for name in ("add", "mul")
    )
    assert add != mul


@needs_database
@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("count", [2, None], ids=["two", "all"])
def test_drawing_leaves_the_global_generators_alone(torch, name, count):
    def state() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    torch.default_generator.manual_seed(5)
    before = state()
    for _ in named(name).samples("float32", seed=0, count=count):
        assert state() == before
    assert state() == before


@needs_database
def test_an_error_while_drawing_leaves_the_global_generators_alone_and_comes_last(torch):
    def make() -> Iterator[float]:
        yield random.random()
        raise ZeroDivisionError

    before = random.getstate()
    drawn = draw(make, Stream("error"), None)
    assert isinstance(next(drawn), float)
    with pytest.raises(ZeroDivisionError):
        next(drawn)
    assert random.getstate() == before


@needs_database
def test_torch_seeds_no_device_while_samples_are_drawn(torch, monkeypatch):
    def forbidden(*args: object) -> None:
        raise AssertionError("torch.manual_seed formats the Python stack")

    monkeypatch.setattr(torch, "manual_seed", forbidden)
    monkeypatch.setattr(torch.random, "manual_seed", forbidden)
    for name in (*DRAWN, "nn.functional.dropout"):
        operator = named(name)
        for sample in operator.samples("float32", seed=0, count=None):
            operator.call(sample)


@needs_database
def test_one_is_told_before_more_are_drawn_which_may_write_into_what_was_given(torch):
    shared = [0]

    def make():
        for number in range(40):
            shared[0] = number
            yield shared

    seen = []
    drawn = draw(make, Stream("shared"), None, lambda: seen.append((count, shared[0])))
    for count, _ in enumerate(drawn, 1):  # noqa: B007  # read by the lambda
        pass

    assert seen == [(8, 7), (40, 39)]


@needs_database
def test_samples_are_drawn_as_they_are_asked_for(torch):
    drawn = []

    def make() -> Iterator[int]:
        for index in range(1000):
            drawn.append(index)
            yield index

    some = draw(make, Stream("lazy"), None)
    assert drawn == []
    assert next(some) == 0
    assert len(drawn) == 8
    drawn.clear()
    assert list(draw(make, Stream("lazy"), 4)) == [0, 1, 3, 6]
    assert len(drawn) == 10


@needs_database
@pytest.mark.parametrize(
    ("there", "count", "given"),
    [
        (100, 1, [0]),
        (100, 5, [0, 1, 3, 6, 10]),
        (7, 5, [0, 1, 3, 5, 6]),
        (4, 4, [0, 1, 2, 3]),
        (2, 5, [0, 1]),
        (0, 3, []),
        (45, None, list(range(45))),
        (8, None, list(range(8))),
    ],
)
def test_a_number_of_samples_is_spread_and_never_less_than_there_are(torch, there, count, given):
    assert list(draw(lambda: range(there), Stream("spread"), count)) == given


@needs_database
@pytest.mark.parametrize("count", [0, -1])
def test_no_samples_cannot_be_asked_for(torch, count):
    with pytest.raises(ValueError, match=rf"at least 1 or None for all, not {count}"):
        list(named("add").samples("float32", seed=0, count=count))


@needs_database
def test_a_sample_says_what_it_holds(torch):
    first = next(named("add").samples("float32", seed=0, count=1))
    assert first.text == "(float32[], float32[])"
    turned = torch.zeros(2, 3).t()
    sample = operator_records._sample(
        types.SimpleNamespace(
            input=[turned, torch.zeros(())],
            args=((1,), torch.float16),
            kwargs={"dim": -1, "fn": torch.add},
            output_process_fn_grad=None,
            broadcasts_input=False,
        )
    )
    assert sample.text == (
        "([float32[3, 2] strides [1, 3], float32[]], (1,), float16, dim=-1, fn=add)"
    )


@needs_database
def test_gradients_are_required_when_asked_for(torch):
    for wanted in (False, True):
        sample = next(named("sin").samples("float32", seed=0, count=1, requires_grad=wanted))
        assert sample.args[0].requires_grad is wanted


@needs_database
def test_a_sample_carries_what_makes_its_result_comparable(torch):
    sample = next(named("linalg.qr").samples("float32", seed=0, count=1))
    assert callable(sample.process)
    assert {s.broadcasts for s in named("add").samples("float32", seed=0, count=None)} == {
        True,
        False,
    }


# Calls


@needs_database
def test_the_three_ways_to_call_agree(torch):
    operator = named("add")
    sample = next(operator.samples("float32", seed=0, count=1))
    kept = sample.args[0].clone()
    expected = operator.call(sample)
    out = torch.empty_like(expected)
    assert operator.call_out(sample, out) is out
    assert torch.equal(out, expected)
    assert torch.equal(operator.call_inplace(sample), expected)
    assert torch.equal(sample.args[0], kept)
    mine = sample.args[0].clone()
    assert operator.call_inplace(sample, args=(mine, *sample.args[1:])) is mine
    assert torch.equal(mine, expected)


@needs_database
def test_other_arguments_take_the_place_of_the_samples(torch):
    operator = named("add")
    sample = next(operator.samples("float32", seed=0, count=1))
    two = torch.full((2,), 2.0)
    assert operator.call(sample, args=(two, two), kwargs={"alpha": 3}).tolist() == [8.0, 8.0]


@needs_database
def test_a_variant_that_does_not_exist_is_refused(torch):
    operator = named("nn.functional.layer_norm")
    sample = next(operator.samples("float32", seed=0, count=1))
    with pytest.raises(ValueError, match=r"nn\.functional\.layer_norm does not take out="):
        operator.call_out(sample, torch.empty(1))
    with pytest.raises(
        ValueError, match=r"nn\.functional\.layer_norm has no variant that works in place"
    ):
        operator.call_inplace(sample)


@needs_database
def test_a_random_operator_draws_from_the_callers_generator(torch):
    """torch's own entry seeds 42 for each call, whatever the caller has seeded."""
    operator = named("randn")
    sample = next(operator.samples("float32", seed=0, count=1))
    sample = opinfo.Sample(((100,),), {}, sample.process, False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        first, second = operator.call(sample), operator.call(sample)
        torch.default_generator.manual_seed(1)
        assert torch.equal(operator.call(sample), first)
    assert not torch.equal(first, second)


# Modules and optimizers


@needs_database
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_every_module_can_be_built_and_called(torch, training):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for record in opinfo.modules():
            given = list(record.samples(seed=0, count=2, training=training))
            assert given, record.name
            for sample in given:
                module = record.build(sample, seed=0, training=training)
                assert module.training is training
                module(*sample.forward.args, **sample.forward.kwargs)


@needs_database
def test_the_parameters_of_a_module_depend_on_the_seed_alone(torch):
    record = next(record for record in opinfo.modules() if record.name == "nn.Linear")
    sample = next(record.samples(seed=0, count=1))
    weights = [record.build(sample, seed=seed).weight for seed in (3, 3, 4)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@needs_database
def test_every_configuration_of_an_optimizer_takes_a_step(torch):
    for record in opinfo.optimizers():
        assert record.configurations, record.name
        for text, keywords in record.configurations:
            parameter = torch.nn.Parameter(torch.ones(3, 2))

            def loss(parameter: Any = parameter, record: Any = record) -> Any:
                parameter.grad = torch.ones(3, 2)
                if record.sparse:
                    parameter.grad = parameter.grad.to_sparse()
                return parameter.detach().sum()

            optimizer = record.optimizer([parameter], **keywords)
            loss()
            optimizer.step(loss if record.closure else None)
            assert not torch.equal(parameter, torch.ones(3, 2)), (record.name, text)


@needs_database
def test_optimizers_run_in_each_implementation_that_the_cpu_has(torch):
    adam = next(record for record in opinfo.optimizers() if record.name == "Adam")
    on = Counter(
        name
        for _, keywords in adam.configurations
        for name in ("foreach", "fused")
        if keywords.get(name)
    )
    assert on["foreach"] > 0
    assert on["fused"] > 0
    assert "cpu" in adam.fused_on
    texts = [text for text, _ in adam.configurations]
    assert len(texts) == len(set(texts))


def test_what_the_error_says_still_works_is_said_of_every_error():
    assert "assert_same" in database.STILL_WORKS
