"""Which abstract syntaxes are storage: everything that is not known to be another service.

A modality may store private SOP Classes and ones younger than this program, so the list names what is *not* storage.
Source: PS3.6 Table A-1, PS3.4.
"""

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"  # Push Model; PS3.4 J.3.5
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # well-known; PS3.4 J.3.5
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

# Whole branches of other services; a UID belongs to one if it begins with it.
_OTHER_BRANCHES = (
    "1.2.840.10008.1.",  # verification, storage commitment, event logging, media directory, transfer syntaxes
    "1.2.840.10008.2.",  # coding schemes and frames of reference: no SOP Classes at all
    "1.2.840.10008.3.",  # patient, visit, study and results management, MPPS, application context
    "1.2.840.10008.4.",  # service classes
    "1.2.840.10008.5.1.1.",  # print management, media creation, display system
    "1.2.840.10008.5.1.4.1.2.",  # query/retrieve
    "1.2.840.10008.5.1.4.20.",  # defined procedure protocol query/retrieve
    "1.2.840.10008.5.1.4.32.",  # general purpose worklist (retired)
    "1.2.840.10008.5.1.4.34.4.",  # unified procedure step, trial
    "1.2.840.10008.5.1.4.34.6.",  # unified procedure step
    "1.2.840.10008.5.1.4.37.",  # relevant patient information query
    "1.2.840.10008.10.",  # real-time communication
)

_OTHER = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.200.4",  # protocol approval FIND, MOVE, GET
        "1.2.840.10008.5.1.4.1.1.200.5",
        "1.2.840.10008.5.1.4.1.1.200.6",
        "1.2.840.10008.5.1.4.1.1.201.2",  # inventory FIND, MOVE, GET, creation; repository query
        "1.2.840.10008.5.1.4.1.1.201.3",
        "1.2.840.10008.5.1.4.1.1.201.4",
        "1.2.840.10008.5.1.4.1.1.201.5",
        "1.2.840.10008.5.1.4.1.1.201.6",
        "1.2.840.10008.5.1.4.31",  # modality worklist
        "1.2.840.10008.5.1.4.32",  # general purpose worklist, meta SOP Class
        "1.2.840.10008.5.1.4.33",  # instance availability notification
        "1.2.840.10008.5.1.4.34.2",  # RT machine verification (N-services), with the trials
        "1.2.840.10008.5.1.4.34.3",
        "1.2.840.10008.5.1.4.34.4",  # the service class of the trials, and that of unified procedure step
        "1.2.840.10008.5.1.4.34.6",
        "1.2.840.10008.5.1.4.34.8",
        "1.2.840.10008.5.1.4.34.9",
        "1.2.840.10008.5.1.4.38.2",  # hanging protocol FIND, MOVE, GET
        "1.2.840.10008.5.1.4.38.3",
        "1.2.840.10008.5.1.4.38.4",
        "1.2.840.10008.5.1.4.39.2",  # color palette
        "1.2.840.10008.5.1.4.39.3",
        "1.2.840.10008.5.1.4.39.4",
        "1.2.840.10008.5.1.4.41",  # product characteristics, substance approval query
        "1.2.840.10008.5.1.4.42",
        "1.2.840.10008.5.1.4.43.2",  # implant templates
        "1.2.840.10008.5.1.4.43.3",
        "1.2.840.10008.5.1.4.43.4",
        "1.2.840.10008.5.1.4.44.2",
        "1.2.840.10008.5.1.4.44.3",
        "1.2.840.10008.5.1.4.44.4",
        "1.2.840.10008.5.1.4.45.2",
        "1.2.840.10008.5.1.4.45.3",
        "1.2.840.10008.5.1.4.45.4",
    }
)

# Storage, although it stands in a branch of another service.
_STORAGE_AFTER_ALL = frozenset(
    {
        "1.2.840.10008.5.1.1.27",  # stored print (retired)
        "1.2.840.10008.5.1.1.29",  # hardcopy grayscale and color image (retired)
        "1.2.840.10008.5.1.1.30",
    }
)


def is_storage(abstract_syntax: str) -> bool:
    """Whether C-STORE is to be expected on this abstract syntax: True for private and unknown ones."""
    if abstract_syntax in _STORAGE_AFTER_ALL:
        return True
    return abstract_syntax not in _OTHER and not abstract_syntax.startswith(_OTHER_BRANCHES)
