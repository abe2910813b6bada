"""What the two sides are told of a result that passes between them."""

import logging

from appliance.config import Config
from appliance.model import Instance, Ready
from appliance.services.worker import Made
from appliance.spool.inside import Passed

log = logging.getLogger(__name__)


def ready_of(config: Config, instance: Instance, made: Made, now: float) -> Ready:
    """Return what the outside is told: pseudonymous facts only. ``now``: POSIX seconds."""
    provenance, hold_s = instance.provenance, config.identity.hold_study_s
    return Ready(
        out=made.staged.stem,
        round=instance.round,
        sop_class=made.sop_class,
        sop_instance=made.sop_instance,
        study=made.study,
        series=made.series,
        transfer_syntax=made.transfer_syntax,
        digest=made.digest,
        size=made.size,
        source=provenance.source,
        project=provenance.project,
        rules_digest=made.rules_digest,
        destinations=made.destinations,
        gated=config.is_manual(provenance.project, provenance.source),
        not_before=now + hold_s if hold_s else 0.0,
        supersedes=instance.out,
    )


def passed_of(instance: Instance, made: Made) -> Passed:
    """Return what the inside keeps."""
    return Passed(
        instance,
        made.staged.stem,
        sop_instance=made.sop_instance,
        study=made.study,
        digest=made.original_digest,
        rules_digest=made.rules_digest,
    )


def log_passed(instance: Instance, made: Made) -> None:
    """Tell what was done, and of a look at pixels how much was hidden; never what was read."""
    looked = made.pixels
    if looked is None:
        log.info("deidentified", extra={"spool_id": instance.id})
        return
    engine = looked.engine.partition(" ")[0] or "none"  # only known regions were hidden
    frames, boxes = looked.searched, len(looked.hidden)
    log.info("deidentified", extra={"spool_id": instance.id, "engine": engine, "frames": frames, "boxes": boxes})
