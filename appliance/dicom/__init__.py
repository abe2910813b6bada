"""Speaking DICOM, with no policy: File Format, Data Sets as a tree, tag paths, queries, text and its character sets."""
