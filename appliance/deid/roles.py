"""What an attribute without a row in the table is, as far as the profile must know: by its tag, or by its name.

Table E.1-1 cannot list everything, and new attributes come with each edition. Source: PS3.15 E.1.1, PS3.6.
"""

import re

from appliance.dicom.element import Tag

CODE_MEANING: Tag = 0x00080104
TEXT_VALUE: Tag = 0x0040A160
CONTENT = frozenset({0x0040A730, 0x00400555, 0x00400610})  # C in the column Clean Structured Content

# Dates of published documents. Shifted, they would tell the patient's offset to whoever knows the publication.
PUBLISHED_DATES = frozenset({0x00080106, 0x00080107, 0x0040DB06, 0x0040DB07})

# Schemes whose code meanings are published; a local scheme's can be anything. Source: PS3.16 Table 8-1.
PUBLISHED_SCHEMES = frozenset(
    {"DCM", "SCT", "SRT", "SNM3", "99SDM", "LN", "UCUM", "FMA", "RADLEX", "MSH", "UMLS", "NCIt", "BI", "ITIS_TSN"}
)
# Unlisted free text that is a term, a number or a place in a table, never a sentence about somebody.
TERMS = frozenset(
    {
        0x0008010E,  # Coding Scheme URL
        0x00080115,  # Coding Scheme Name
        0x00080119,  # Long Code Value
        0x00080120,  # URN Code Value
        0x00187008,  # Detector Mode
        0x00187040,  # Grid Absorbing Material
        0x00187041,  # Grid Spacing Material
        0x20100010,  # Image Display Format
        0x300A007B,  # Fraction Pattern
    }
)
# Unlisted short texts that are of the same kinds as the table's rows: numbers of orders, dates, comments, addresses.
LIKE_LISTED = frozenset(
    {
        0x00100033,  # Patient's Birth Date in Alternative Calendar
        0x00100034,  # Patient's Death Date in Alternative Calendar
        0x00102295,  # Breed Registration Number
        0x00181003,  # Device ID
        0x00181803,  # NTP Source Address
        0x00287007,  # System Status Comment
        0x0028702A,  # Test Result Comment
        0x00401006,  # Placer Order Number / Procedure (retired)
        0x00401007,  # Filler Order Number / Procedure (retired)
        0x00402006,  # Placer Order Number / Imaging Service Request (retired)
        0x00402007,  # Filler Order Number / Imaging Service Request (retired)
        0x00700068,  # Graphic Layer Description
        0x00700081,  # Content Description
        0x00700207,  # Graphic Group Label
        0x0074100C,  # Contact Display Name
        0x00880130,  # Storage Media File-set ID
        0x21000160,  # Owner ID
        0x30040006,  # Dose Comment
        0x300600C8,  # Frame of Reference Transformation Comment
        0x40080103,  # Reference to Recorded Sound
    }
)
# Unlisted bytes whose form is known: everything else of VR OB can hold anything.
KNOWN_BYTES = frozenset({0x00282000, 0x00701808})  # ICC Profile, Weighting Lookup Table Data
# What somebody types where the table has no row: by its name.
DESCRIBES = re.compile(r"(Label|Description|Comments?|Title|Notes?|Narrative|Remarks?|Reason)$")
NAMES_BY_HAND = frozenset(
    {
        0x00082120,  # Stage Name
        0x00180034,  # Intervention Drug Name
        0x00189423,  # Acquisition Protocol Name
        0x00189922,  # Protocol Element Name
        0x00240306,  # Data Set Name
        0x00540018,  # Energy Window Name
        0x30020003,  # RT Image Name
        0x300A00C2,  # Beam Name
        0x300A00FE,  # Block Name
        0x300A0236,  # Application Setup Name
        0x300A0244,  # Template Name
        0x300A0294,  # Source Applicator Name
    }
)
# Labels of VR CS that other elements of the instance refer to: cleaned, they must stay alike and valid.
KEYS_BY_HAND = frozenset({0x00700002, 0x00700080})  # Graphic Layer, Content Label
DRAWN_TEXT: Tag = 0x00700006  # Unformatted Text Value
GRAPHIC_DATA: Tag = 0x00700022
# Other people's identity data and marks that no longer hold.
NEVER = frozenset({0x00080300, 0x04000500, 0x04000510, 0x04000520})

WRITTEN = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
FREE_TEXT = frozenset({"LT", "ST", "UC", "UR", "UT"})
DATES = frozenset({"DA", "DT"})
