"""Configuration files as users of Research PACS have them: the documents' complete example, and the shipped default."""

COMPLETE = """
Labels:                              # list, mandatory (may be empty)
  - Name: Paperwork                  # any string, becomes usable in scopes
    DICOMQueryFilter: Modality StrEquals DOC OR Modality StrEquals OT
  - Name: Ultrasound
    DICOMQueryFilter: Modality StrEquals US
  - Name: VendorX CT                 # blanks allowed in names
    DICOMQueryFilter: Modality StrEquals CT AND ManufacturerModelName StrEquals "Model X*"
  - Name: Everything                 # no filter = matches every instance (code, not docs)

Categories:                          # optional; a named set of labels
  - Name: Needs masks
    Labels: [Ultrasound, VendorX CT]

ScopeToForward:                      # mandatory; string or list in each key
  Labels: ALL                        # ALL is attached to every instance
  ExceptLabels: Paperwork            # exclusion always wins

Transformations:                     # mandatory list; every block whose Scope matches applies
  - Scope: {Labels: ALL}
    ShiftDateTime:
      - TagPatterns: ["*/{DA}"]      # string or list
        ExceptTagPatterns: "PatientBirthDate"
        ShiftBy: 30                  # DA: days; TM, DT: seconds; drawn in -30..+30
        ReuseMapping: SamePatient    # Always|SamePatient|SameStudy|SameSeries|SameInstance; absent = never reuse
    RandomizeText:
      - TagPatterns: "*/{PN}"
        Split: "^"
        IgnoreCase: true             # lowercase first, so SMITH and Smith map alike
        ReuseMapping: Always
    RandomizeUID:
      - TagPatterns: ["*/SOPInstanceUID", "*/StudyInstanceUID", "*/SeriesInstanceUID"]
        Prefix: "1.2.826.0.1.3680043.10."   # undocumented; a comment in the code calls it PrefixUID
    AddTags:
      - {Tag: PatientIdentityRemoved, VR: CS, Value: "YES", OverwriteIfExists: true}
      - {Tag: "RequestAttributesSequence[0].00400009", VR: SH, Value: X}   # parent must exist
    DeleteTags:
      - TagPatterns: "*/XXX@XXXX"    # private elements ...
        ExceptTagPatterns: ["*/0029{SAFE CREATOR}XX"]
        Action: Remove               # or Empty
  - Scope: {Categories: Needs masks}
    RemoveBurnedInAnnotations:
      - {Type: Manual, BoxCoordinates: [[0, 0, 640, 60], [500, 60, 640, 90]]}   # left, top, right, bottom
      - {Type: OCR}                  # remote text detection on frame 1
  - Scope: {Labels: VendorX CT}
    Transcode: 1.2.840.10008.1.2.4.90   # last matching block wins; absent = original syntax
"""

SHIPPED = """
Labels: []
ScopeToForward:
  Labels: ALL
Transformations:
  - Scope:
      Labels: ALL
    RandomizeUID:
      - TagPatterns: "*/SOPInstanceUID"
      - TagPatterns: "*/StudyInstanceUID"
      - TagPatterns: "*/SeriesInstanceUID"
"""
