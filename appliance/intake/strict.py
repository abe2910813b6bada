"""The second look of ``strict_uids``: does the Data Set say of itself what the command announced?"""

from appliance.dicom import part10
from appliance.errors import Malformed, NotDicom
from appliance.intake.door import Entry

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_MOST = 4 * 1024 * 1024  # bytes before the SOP Instance UID


def differs(entry: Entry) -> bool:
    """Whether the SOP Class or SOP Instance UID inside ``entry`` is not the announced one, or cannot be read."""
    try:
        # Not sniff.identify: what the Data Set leaves out it takes from File Meta, and that is what we announced.
        with entry.path.open("rb") as file:
            inside = part10.read(file, max_header=_MOST, until=_SOP_INSTANCE)
    except (NotDicom, Malformed):
        return True
    announced = (entry.facts.sop_class, entry.facts.sop_instance)
    return (inside.uid(_SOP_CLASS), inside.uid(_SOP_INSTANCE)) != announced
