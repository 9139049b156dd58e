"""The faults of the simulated device that model each bug of ``suites/regressions``.

Together the faults of a bug fail every test of it. A fault of a size limit has the limit of
real devices, or, for the tests of size L, one that is scaled down as they are.
"""

from __future__ import annotations

from math import isqrt

#: Stands for 2**32 in the tests of size L.
LIMIT = 2**16

FAULTS_OF: dict[str, tuple[str, ...]] = {
    "pytorch-118115": (
        "addcdiv-inplace-strided-lost",
        "lerp-inplace-strided-lost",
    ),
    "pytorch-165257": ("random-inplace-strided-lost",),
    "pytorch-118117": (
        "addcdiv-inplace-strided-lost",
        "pointwise-inplace-strided-lost",
    ),
    "pytorch-141457": ("multinomial-strided",),
    "pytorch-104832": (
        "matmul-out-strided-lost",
        "add-out-strided-lost",
    ),
    "pytorch-107694": ("masked-fill-strided-mask",),
    "pytorch-150967": ("where-strided-condition",),
    "pytorch-87348": (
        "clamp-strided-bounds",
        "maximum-strided",
    ),
    "pytorch-98212": (
        "activation-strided",
        "activation-backward-strided",
        "more-activations-strided",
    ),
    "pytorch-139006": (
        "silu-strided-garbage",
        "more-activations-strided",
    ),
    "pytorch-162730": ("linear-strided-weight",),
    "pytorch-167154": ("linear-expanded-input-aborts",),
    "pytorch-189565": ("linear-backward-expanded-page@4096",),
    "pytorch-192212": ("convolution-sliced-weight",),
    "pytorch-181133": ("attention-permuted",),
    "pytorch-175189": ("batch-norm-backward-channels-last",),
    "pytorch-174345": (
        "pool-channels-last-offset",
        "max-pool-channels-last-offset",
    ),
    "pytorch-190645": ("batch-norm-permuted-aborts",),
    "pytorch-89353": ("cat-strided-parts",),
    "pytorch-78043": ("cat-stepped-parts-refused",),
    "pytorch-115152": (
        "scatter-strided-source",
        "scatter-strided-index",
    ),
    "pytorch-163327": (
        "scatter-add-offset-lost",
        "row-writes-offset-lost",
    ),
    "pytorch-195074": ("bool-view-written-before",),
    "pytorch-78107": (
        "compare-offset-scalars",
        "equal-offset-scalars",
    ),
    "pytorch-78363": (
        "inverse-offset",
        "determinant-offset",
    ),
    "pytorch-167924": ("repeat-interleave-sliced-counts",),
    "pytorch-189961": ("copy-to-host-fills-gaps",),
    "pytorch-189563": ("copy-to-host-overwrites-source",),
    "pytorch-108978": ("copy-to-host-ignores-offset",),
    "pytorch-122016": ("setitem-writes-one-before",),
    "pytorch-86185": ("copy-of-host-scalar-view-lost",),
    "pytorch-85967": ("copy-from-host-ignores-strides",),
    "pytorch-139550": ("copy-non-blocking-stale",),
    "pytorch-180201": ("expanded-gradient-mostly-zero",),
    "pytorch-90635": (
        "cumsum-integers-not-summed",
        "cumsum-bool-in-bytes",
    ),
    "pytorch-92311": ("argmax-integers-minimum",),
    "pytorch-87753": (
        "max-int64-is-first",
        "amax-int64-is-first",
    ),
    "pytorch-122916": ("nonzero-index-through-float32@16777216",),
    "pytorch-195595": ("unique-keys-through-float32",),
    "pytorch-179415": (
        "sum-uint8-saturates",
        "prod-uint8-saturates",
    ),
    "pytorch-149951": (
        "fmax-mixed-dtypes",
        "pairs-mixed-dtypes",
    ),
    "pytorch-130201": ("clamp-integers-float-bound",),
    "pytorch-84995": (
        "div-floor-int64-aborts",
        "remainder-int64-aborts",
    ),
    "pytorch-82543": ("rsub-rounded",),
    "pytorch-101198": ("stale-embedding-width",),
    "pytorch-180744": ("lstm-evaluation-by-batch",),
    "pytorch-85224": ("first-product-transposed",),
    "pytorch-177116": ("stale-backward-after-other-batch",),
    "pytorch-193487": ("product-after-other-size",),
    "pytorch-180776": ("linear-second-call-differs",),
    "pytorch-129207": ("convolution-channels-limit@65536",),
    "pytorch-96225": ("convolution-backward-batch-limit@65536",),
    "pytorch-189495": ("linear-bias-batch-limit@65536",),
    "pytorch-116769": ("product-columns-limit@32768",),
    "pytorch-111634": (f"batched-product-foreign-values@{isqrt(LIMIT) // 2}",),
    "pytorch-195163": ("batched-product-inner-limit@32766",),
    "pytorch-197636": (f"batched-product-output-limit@{LIMIT}",),
    "pytorch-189960": (f"cat-output-limit@{LIMIT // 2}",),
    "pytorch-188756": (
        f"index-select-source-limit@{LIMIT // 2}",
        f"advanced-index-source-limit@{LIMIT // 2}",
    ),
    "pytorch-182052": (f"copy-into-view-offset-limit@{LIMIT}",),
    "pytorch-149261": (f"attention-size-aborts@{LIMIT // 4}",),
    "pytorch-153560": (f"advanced-index-source-limit@{LIMIT}",),
    "pytorch-194460": (f"pool-input-limit@{LIMIT}",),
    "pytorch-196949": ("reflection-pad-backward-limit@65536",),
    "pytorch-194922": ("pad-planes-limit@65536",),
    "pytorch-111173": ("unique-counts-limit@999999",),
    "pytorch-147740": (
        "randn-high-rank-constant",
        "rand-high-rank-constant",
    ),
    "pytorch-153957": ("linear-backward-outputs-limit@50000",),
    "pytorch-197235": ("variance-intermittent@2097152",),
    "pytorch-107116": ("variance-negative-axis",),
    "pytorch-154881": (
        "cumsum-far-axis-aborts",
        "topk-far-axis-aborts",
    ),
    "pytorch-92329": (
        "cumsum-negative-axis-refused",
        "scans-negative-axis-refused",
    ),
    "pytorch-97231": (
        "stale-axes",
        "sum-no-axes-is-none",
    ),
    "pytorch-160738": (
        "variance-of-scalar-refused",
        "variance-of-nothing-is-zero",
    ),
    "pytorch-160734": ("clamp-bound-of-higher-rank-refused",),
    "pytorch-86239": ("where-broadcast-refused",),
    "pytorch-84591": (
        "linear-one-dimension-aborts",
        "linear-backward-one-dimension-aborts",
    ),
    "pytorch-104879": ("unique-high-rank-loses",),
    "pytorch-176767": ("attention-value-width",),
    "pytorch-149132": ("attention-grouped-mask-aborts",),
    "pytorch-174861": ("attention-grouped-out-of-bounds",),
    "pytorch-195910": ("attention-causal-leaks",),
    "pytorch-160743": (
        "average-pool-ceil",
        "max-pool-ceil-aborts",
    ),
    "pytorch-80192": (
        "pad-one-column",
        "pad-bottom-only",
        "replicate-pad-aborts",
        "pad-by-nothing-refused",
    ),
    "pytorch-121557": ("scatter-number-aborts",),
    "pytorch-126649": (
        "irfft-odd-length",
        "arange-into-slice-positive",
    ),
    "pytorch-190060": ("embedding-bag-last-offset",),
    "pytorch-189968": ("index-out-of-range-accepted",),
    "pytorch-103023": (
        "embedding-padding-gradient",
        "embedding-frequency-ignored",
        "embedding-one-index-aborts",
    ),
    "pytorch-169236": ("transposed-convolution-padding-accepted",),
    "pytorch-90479": (
        "cat-empty-refused",
        "index-select-empty-refused",
    ),
    "kornia-4160": (
        "all-over-nothing-is-false",
        "any-over-nothing-is-true",
    ),
    "pytorch-187521": ("beta-zero-keeps-nan",),
    "pytorch-130295": (
        "reduction-drops-nan",
        "argmax-drops-nan",
        "maximum-drops-nan",
        "relu-drops-nan",
        "clamp-drops-nan",
    ),
    "pytorch-189243": ("floor-division-infinity",),
    "keras-23661": ("cross-entropy-of-nan-is-finite",),
    "pytorch-84962": (
        "batch-norm-training",
        "batch-norm-gradient",
        "group-norm-gradient",
        "layer-norm-off",
    ),
    "pytorch-91694": (
        "lstm-batch-first-order",
        "lstm-state-ignored",
        "lstm-second-direction",
        "lstm-deep",
    ),
    "pytorch-190056": (
        "lstm-dropout-nan",
        "lstm-dropout-same-mask",
    ),
    "pytorch-157364": (
        "cholesky-strided",
        "cholesky-inaccurate",
        "inverse-inaccurate",
    ),
    "pytorch-116095": ("cross-entropy-bus-error",),
    "pytorch-186360": ("fused-adam-steps-on-infinity",),
    "pytorch-78009": (
        "random-state-not-advanced",
        "random-seed-ignored",
    ),
    "pytorch-124833": (
        "exponential-generator-ignored",
        "random-seed-ignored",
    ),
    "pytorch-85611": (
        "bernoulli-certain-is-zero",
        "multinomial-impossible-class",
    ),
    "pytorch-197805": ("crash-in-threads",),
    "pytorch-123151": ("softmax-of-attention-inverted",),
}
