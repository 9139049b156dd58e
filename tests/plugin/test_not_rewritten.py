"""pytest does not rewrite our modules: a run in a fresh container would compile all of them."""

from __future__ import annotations


def test_a_run_imports_our_modules_as_compiled(pytester):
    # An editable install is not rewritten by every pytest; an installed plugin is.
    pytester.makeconftest("import pytest; pytest.register_assert_rewrite('pytest_applesilicon')")
    pytester.makepyfile(
        """
        import sys

        def test_loaders():
            ours = [one for name, one in sys.modules.items()
                    if name in ("pytest_applesilicon.running", "pytest_applesilicon.records")]
            assert [type(one.__loader__).__name__ for one in ours] == ["SourceFileLoader"] * 2
        """
    )

    result = pytester.runpytest_subprocess("--device=cpu", "--framework=numpy")

    result.stdout.fnmatch_lines("*1 passed*")
