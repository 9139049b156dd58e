"""Signatures judged by the catalog: what MPS of a torch release does with the recorded calls."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from pytest_applesilicon.audit_records import Audit, Use

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_applesilicon.audit.signatures import Signature, Tree
    from pytest_applesilicon.catalog.reading import Catalog, Status

Verdict = Literal["native", "fallback", "unsupported", "unknown"]

#: From best to worst: a composite is as its worst part.
_ORDER: tuple[Verdict, ...] = ("native", "unknown", "fallback", "unsupported")

#: What a run can fail on, in the order in which it is shown.
FINDINGS = ("unsupported", "fallback", "float64", "complex128", "int64", "layout")

#: dtypes that no tensor of MPS has (aten/src/ATen/mps/EmptyTensor.cpp; pytorch#79019).
REFUSED = ("float64", "complex128")

#: What is chosen by the backend, in C++ or in Python: where the CPU calls the first, MPS calls the
#: others. Nothing to the right: a composite of operators that every release has.
CHOICES: dict[str, tuple[str, ...]] = {
    # Convolution.cpp, _select_conv_backend.
    "convolution": ("_mps_convolution",),
    "convolution_overrideable": ("_mps_convolution",),
    "convolution_backward": ("mps_convolution_backward",),
    # RNN.cpp, lstm.input.
    "mkldnn_rnn_layer": ("_lstm_mps",),
    "mkldnn_rnn_layer_backward": ("lstm_mps_backward",),
    # transformers/attention.cpp: the math of other operators where there is no kernel of its own.
    "_scaled_dot_product_flash_attention_for_cpu": (),
    "_scaled_dot_product_flash_attention_for_cpu_backward": (),
    # torch/nn/modules/activation.py and transformer.py take the fused paths on cpu and cuda.
    "_native_multi_head_attention": (),
    "_transformer_encoder_layer_fwd": (),
    "_addmm_activation": ("addmm",),
    # torch.nn.functional.interpolate calls the overload ``vec``, which has had a fallback.
    "upsample_nearest3d": ("upsample_nearest3d.vec",),
    # Pinning is asked of the accelerator's allocator, not of a kernel.
    "is_pinned": (),
    "_pin_memory": (),
}


#: What of a signature decides its verdict: the operator, what it calls, and the layout. A run
#: has thousands of signatures and hundreds of these.
Form = tuple[str, "Tree", str]


def form(signature: Signature) -> Form:
    """What of a signature decides its verdict."""
    return signature.operator, (signature.name, signature.called), signature.layout()


class Judge:
    """Verdicts for one release; what was judged is kept."""

    def __init__(self, catalog: Catalog, release: str) -> None:
        self._catalog = catalog
        self._release = release
        self._known: dict[tuple[Tree, str], tuple[Verdict, tuple[str, ...]]] = {}

    def of(self, signature: Signature) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict of a signature, and the overloads that are to blame for it."""
        return self.of_form(form(signature))

    def of_form(self, one: Form) -> tuple[Verdict, tuple[str, ...]]:
        """The same of what decides it."""
        operator, tree, layout = one
        return self._tree(tree, layout) if tree[0] else ("unknown", (operator,))

    def _tree(self, tree: Tree, layout: str) -> tuple[Verdict, tuple[str, ...]]:
        key = (tree, layout)
        if key not in self._known:
            self._known[key] = self._judged(tree, layout)
        return self._known[key]

    def _judged(self, tree: Tree, layout: str) -> tuple[Verdict, tuple[str, ...]]:
        name, called = tree
        status = self._catalog.status(name, self._release, layout)
        if status == "native":
            return "native", ()
        if name in CHOICES:
            return self._worst([(one, ()) for one in CHOICES[name]], layout)
        if status == "fallback":
            return "fallback", (name,)
        if status == "missing":
            return "unsupported", (name,)
        return self._made_of(name, status, called, layout)

    def _made_of(
        self, name: str, status: Status, called: Sequence[Tree], layout: str
    ) -> tuple[Verdict, tuple[str, ...]]:
        if status == "absent" and not called:
            # Another release decomposes differently, or came before the operator was there.
            too_old = self._catalog.has(name) and self._before(name) and not name.startswith("_")
            return ("unsupported" if too_old else "unknown"), (name,)
        return self._worst(called, layout)

    def _before(self, name: str) -> bool:
        """Whether the release is older than an overload."""
        versions = [one.version for one in self._catalog.releases]
        first = self._catalog.changes(name)[0].release
        return versions.index(self._release) < versions.index(first)

    def _worst(self, trees: Sequence[Tree], layout: str) -> tuple[Verdict, tuple[str, ...]]:
        found = [self._tree(one, layout) for one in trees]
        if not found:
            return "native", ()
        worst = max((verdict for verdict, _ in found), key=_ORDER.index)
        blamed = [name for verdict, names in found if verdict == worst for name in names]
        return worst, tuple(dict.fromkeys(blamed))


def judge(
    signatures: Sequence[Signature], catalog: Catalog, release: str, lost: Iterable[str] = ()
) -> Audit:
    """The audit of a run for a release, ``2.13.0``."""
    from pytest_applesilicon.audit import risks

    judges = {one.version: Judge(catalog, one.version) for one in catalog.releases}
    uses: list[Use] = []
    counts: Counter[str] = Counter()
    by_operator: dict[str, list[Signature]] = {}
    for one in signatures:
        by_operator.setdefault(one.operator, []).append(one)
    forms: dict[Form, None] = {}
    for operator, several in by_operator.items():
        formed = [form(one) for one in several]
        forms |= dict.fromkeys(formed)
        verdicts = [judges[release].of_form(one) for one in formed]
        worst = max((verdict for verdict, _ in verdicts), key=_ORDER.index)
        counts[worst] += 1
        if worst != "native":
            hit = [one for one, (verdict, _) in zip(several, verdicts, strict=True)
                   if verdict == worst]  # fmt: skip
            blamed = dict.fromkeys(n for v, names in verdicts if v == worst for n in names)
            since = _since({form(one) for one in hit}, judges)
            uses.append(_use(operator, worst, hit, tuple(blamed), since))
        uses += _dtype_uses(operator, several)
        uses += risks.found(operator, several, release, _use)
    order = (*FINDINGS, "unknown")
    uses.sort(key=lambda one: (order.index(one.verdict), -one.calls, one.operator))
    return Audit(
        release=release,
        lowest=_lowest(forms, judges),
        calls=sum(one.calls for one in signatures),
        signatures=len(signatures),
        operators=len(by_operator),
        counts=dict(counts),
        uses=tuple(uses),
        lost=tuple(lost),
    )


def _use(
    operator: str,
    verdict: str,
    hit: Sequence[Signature],
    missing: tuple[str, ...] = (),
    since: str = "",
    note: str = "",
) -> Use:
    told = [one for one in hit if one.first_test] or list(hit)
    # A line of a library says more than one of the test that calls it.
    first = min(told, key=lambda one: (_is_test(one.line), one.first_test, one.line))
    return Use(
        operator, verdict, missing, len(hit), sum(one.calls for one in hit),
        max(one.tests for one in hit), first.first_test, first.line, since, note,
    )  # fmt: skip


def _is_test(line: str) -> bool:
    name = line.rpartition("/")[2]
    return name.startswith(("test_", "conftest")) or "_test.py" in name


def _dtype_uses(operator: str, several: Sequence[Signature]) -> list[Use]:
    dtypes = [(one, one.dtypes()) for one in several]
    return [
        _use(operator, dtype, hit)
        for dtype in REFUSED
        if (hit := [one for one, known in dtypes if dtype in known])
    ]


def _since(hit: Iterable[Form], judges: Mapping[str, Judge]) -> str:
    """The first release of those in which, up to the newest, all of these are native."""
    found = ""
    for version in reversed(list(judges)):
        if any(judges[version].of_form(one)[0] != "native" for one in hit):
            break
        found = version
    return found


def _lowest(forms: Iterable[Form], judges: Mapping[str, Judge]) -> str:
    """The first release on which all is native; what the catalog does not know is left out."""
    for version, one in judges.items():
        if all(one.of_form(each)[0] in ("native", "unknown") for each in forms):
            return version
    return ""
