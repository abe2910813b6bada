"""The appliance: an on-premises DICOM edge gateway.

It receives images from modalities and clinics, keeps every one durably, de-identifies it inside the
hospital and forwards it by STOW-RS. ``README.md`` shows the way in; ``DECISIONS.md`` says why.
"""

__version__ = "0.1.0"

# Ours to state in File Meta and associations: PS3.7 D.3.3.2. A 2.25 root from a UUID drawn once for this product.
IMPLEMENTATION_CLASS_UID = "2.25.228706427391170358302941864935270313471"
IMPLEMENTATION_VERSION_NAME = "APPLIANCE_" + __version__.replace(".", "")[:6]
