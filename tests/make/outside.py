"""Putting invented de-identified instances into an outbox, as the de-identify service does."""

from collections.abc import Sequence

from appliance.model import Parcel, Ready
from appliance.spool.outbox import Outbox


def ready(
    parcel: Parcel, *, destinations: Sequence[str] = ("research",), gated: bool = False, supersedes: str = ""
) -> Ready:
    """Return what the de-identify service would say of this parcel's instance."""
    return Ready(
        out=parcel.out,
        round=1,
        sop_class=parcel.sop_class,
        sop_instance=parcel.sop_instance,
        study=parcel.study,
        series=parcel.series,
        transfer_syntax=parcel.transfer_syntax,
        digest=parcel.digest,
        size=parcel.size,
        source="CT1",
        project="main",
        rules_digest="r",
        destinations=tuple(destinations),
        gated=gated,
        supersedes=supersedes,
    )


def admit(
    outbox: Outbox, parcels: Sequence[Parcel], *, destinations: Sequence[str] = ("research",), gated: bool = False
) -> None:
    """Make these READY; their files move into the outbox."""
    with outbox.making() as making:
        staged = []
        for parcel in parcels:
            target = making.folder / f"{parcel.out}.dcm"
            parcel.file.rename(target)
            staged.append((ready(parcel, destinations=destinations, gated=gated), target))
        outbox.admit(staged)
