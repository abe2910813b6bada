"""DICOM audit messages to the hospital's receiver: what is said (message), how it travels (wire), what is followed."""
