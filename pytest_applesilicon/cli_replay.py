"""``applesilicon replay``: recorded calls on a device."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_applesilicon.audit.replaying import Replayed

_DEVICES = ("cpu", "mps", "mps-sim", "cuda")


def add(group: Any) -> None:
    """Add the command to the group."""
    import click

    @group.command("replay", help="Run recorded calls on a device and judge each.")  # type: ignore[untyped-decorator]
    @click.argument("signatures", type=click.Path(path_type=Path))
    @click.option("--device", required=True, type=click.Choice(_DEVICES))
    @click.option("--faults", default="", help="Of mps-sim, as pytest --faults takes them.")
    @click.option("--timeout", default=30.0, show_default=True, help="Seconds for one call.")
    @click.option("--seed", default=0, show_default=True, help="Of values that were not kept.")
    @click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
    def replay(
        signatures: Path, device: str, faults: str, timeout: float, seed: int, as_json: bool
    ) -> None:
        from pytest_applesilicon.audit import replaying
        from pytest_applesilicon.audit import signatures as recorded
        from pytest_applesilicon.reports import replay as shown

        if faults and device != "mps-sim":
            raise click.ClickException("--faults: only --device=mps-sim has faults")
        try:
            known, _ = recorded.read(signatures)
            found = list(
                _with_bar(
                    replaying.replay(known, device, faults=faults, limit_s=timeout, seed=seed),
                    known,
                )
            )
        except (recorded.SignatureError, replaying.ReplayError) as error:
            raise click.ClickException(str(error)) from None
        if as_json:
            click.echo(shown.to_json(found, device, faults))
        else:
            for line in shown.lines(found, device, shutil.get_terminal_size().columns):
                click.echo(line)
        sys.exit(shown.exit_status(found))


def _with_bar(outcomes: Iterator[Replayed], known: Sequence[Any]) -> Iterator[Replayed]:
    import click

    with click.progressbar(length=len(known), label="replaying", file=sys.stderr) as bar:
        for one in outcomes:
            yield one
            bar.update(1)
