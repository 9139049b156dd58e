"""Built-in faults of the simulated device that fail tests which no fault of a CPU reaches."""

from __future__ import annotations

#: A test, by its start without ``suites/agreement/``, and the fault that fails it.
FAULT_OF = {
    "test_partial_writes.py::test_in_place": "pointwise-inplace-strided-lost",
    "test_partial_writes.py::test_product_into_out": "matmul-out-strided-lost",
    "test_partial_writes.py::test_draw_in_place": "random-inplace-strided-lost",
    "test_partial_writes.py::test_accumulate_into_a_row": "row-writes-offset-lost",
    "test_recurrent.py::test_lstm": "lstm-evaluation-by-batch",
    "test_recurrent.py::test_dropout_draws_anew_and_stays_finite": "lstm-dropout-same-mask",
    "test_transfers.py::test_copy_between_views_with_gaps": "copy-to-host-fills-gaps",
    "test_transfers.py::test_copy_to_a_narrower_dtype_leaves_the_source": (
        "copy-to-host-overwrites-source"
    ),
    "test_transfers.py::test_copy_into_rows_of_the_host": "copy-to-host-ignores-offset",
    "test_transfers.py::test_copy_of_a_transposed_host_tensor": "copy-from-host-ignores-strides",
    "test_transfers.py::test_assignment_of_an_element_of_the_host": (
        "copy-of-host-scalar-view-lost"
    ),
    "test_transfers.py::test_copies_that_do_not_block": "copy-non-blocking-stale",
    "test_transfers.py::test_assignments_in_sequence": "setitem-writes-one-before",
    "test_transfers.py::test_comparison_of_elements": "compare-offset-scalars",
    "test_traps.py::test_trap": "relu-drops-nan",
    "test_traps.py::test_streams_of_random_numbers": "random-state-not-advanced",
    "test_traps.py::test_impossible_and_certain_draws": "bernoulli-certain-is-zero",
    "test_traps.py::test_refused": "index-out-of-range-accepted",
    "test_optimizers.py::test_fused_step_is_skipped_where_the_scaler_found_an_infinity": (
        "fused-adam-steps-on-infinity"
    ),
}
