"""The second look of ``strict_uids``: does the Data Set say of itself what the command announced?"""

from appliance.dicom.sniff import identify
from appliance.errors import Malformed, NotDicom
from appliance.intake.door import Entry


def differs(entry: Entry) -> bool:
    """Whether the SOP Class or SOP Instance UID inside ``entry`` is not the announced one, or cannot be read."""
    try:
        inside = identify(entry.path)
    except (NotDicom, Malformed):
        return True
    return (inside.sop_class, inside.sop_instance) != (entry.facts.sop_class, entry.facts.sop_instance)
