"""Where a site sends READY instances, as its configuration says it; ``config`` holds the rest."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from appliance.yamlfile import demand

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})  # hosts that nobody can listen to on the way

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PLUGIN = "/dicom-web"  # where Orthanc's DICOMweb plug-in answers unless it is told otherwise


def is_name(text: str) -> bool:
    """Whether ``text`` may name a site, a project or a destination: a path part, a label, a pseudonym's prefix."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Auth:
    """How a destination knows us. Secrets are files: the password, the token, the client secret."""

    kind: Literal["none", "basic", "bearer", "oidc"] = "none"
    user: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    token_url: str = ""  # oidc: the token endpoint
    client_id: str = ""
    client_secret_file: Path | None = None
    scope: str = ""
    in_clear: bool = False  # true: show the secret over http too, where whoever is on the way can read it

    def __post_init__(self) -> None:
        needed = {
            "none": (),
            "basic": ("user", "password_file"),
            "bearer": ("token_file",),
            "oidc": ("token_url", "client_id", "client_secret_file"),
        }[self.kind]
        for name in needed:
            demand(bool(getattr(self, name)), f"kind {self.kind} needs {name}.")
        allowed = {"kind", *needed}
        allowed |= {"in_clear"} if self.kind != "none" else set()
        allowed |= {"scope"} if self.kind == "oidc" else set()
        for field_ in fields(self):
            # Credentials that would silently not be used are a mistake that costs a day.
            demand(
                field_.name in allowed or not getattr(self, field_.name),
                f"{field_.name} means nothing with kind {self.kind}. Name the kind (basic, bearer, oidc) or remove it.",
            )
        demand(
            not self.token_url or _is_web(self.token_url), "token_url must begin http:// or https:// and name a host."
        )
        self.demand_cover("token_url", self.token_url)

    def demand_cover(self, name: str, url: str) -> None:
        """Demand that no secret is shown to ``url``, the value of ``name``, where it can be read on the way."""
        demand(
            self.kind == "none" or self.in_clear or is_covered(url),
            f"{name} is http, and with auth kind {self.kind} whoever is on the way could read the secret. Write https; "
            "or, if the way is protected otherwise, auth: {in_clear: true}.",
        )


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate by which a destination's TLS front knows us."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Recall:
    """How a destination can be asked to delete what was delivered. A folder needs none: its files are removed."""

    kind: Literal["none", "dicomweb", "orthanc"] = "none"  # none: only a person can delete there
    rest_url: str = ""  # orthanc: its REST root; left out: url without /dicom-web

    def __post_init__(self) -> None:
        demand(
            self.kind == "orthanc" or not self.rest_url,
            f"rest_url means nothing with kind {self.kind}. Name kind orthanc or remove it.",
        )
        if self.rest_url:
            parts = urlsplit(self.rest_url)
            demand(_is_web(self.rest_url), "rest_url must begin http:// or https:// and name a host.")
            demand(not parts.username and not parts.password, "rest_url must not hold a user or password; use auth.")
            demand(not parts.query and not parts.fragment, "rest_url must end with Orthanc's root.")
            object.__setattr__(self, "rest_url", self.rest_url.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Whether a destination is asked, once a day, if it has what it named as stored. A folder is not asked."""

    days: float = 30  # what it named as stored within so many days; 0: it is not asked
    send_again: int = 1000  # more than so many that are missing are sent again only by a person's command

    def __post_init__(self) -> None:
        demand(self.days >= 0, "days must be at least 0.")
        demand(self.send_again >= 0, "send_again must be at least 0.")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where READY instances go: a DICOMweb root, or a folder."""

    name: str
    url: str = ""  # DICOMweb root, ends before /studies
    folder: Path | None = None
    existing: Literal["replaced", "kept"] = "kept"  # what it does with an instance that it has
    auth: Auth = field(default_factory=Auth)
    client_certificate: ClientCertificate | None = None
    ca: Path | None = None  # PEM bundle; left out: the system's
    timeout_s: float = 60.0  # connect and between bytes
    connections: int = 4
    batch_mb: int = 64  # per STOW-RS request, at most
    batch_instances: int = 100
    recall: Recall = field(default_factory=Recall)
    reconciliation: Reconciliation = field(default_factory=Reconciliation)

    def __post_init__(self) -> None:
        demand(is_name(self.name), "name must be lower-case letters, digits, '-' or '_'.")
        demand(bool(self.url) != (self.folder is not None), "give either url or folder.")
        if self.url:
            parts = urlsplit(self.url)
            demand(_is_web(self.url), "url must begin http:// or https:// and name a host.")
            demand(not parts.username and not parts.password, "url must not hold a user or password; use auth.")
            demand(not parts.query and not parts.fragment, "url must end with the DICOMweb root.")
            demand(not parts.path.rstrip("/").endswith("/studies"), "url must end before /studies.")
            object.__setattr__(self, "url", self.url.rstrip("/"))
            self.auth.demand_cover("url", self.url)
        demand(self.timeout_s > 0, "timeout_s must be more than 0.")
        demand(1 <= self.connections <= 32, "connections must be 1 to 32.")
        demand(1 <= self.batch_mb <= 1024, "batch_mb must be 1 to 1024.")
        demand(1 <= self.batch_instances <= 1000, "batch_instances must be 1 to 1000.")
        self._check_recall()

    def _check_recall(self) -> None:
        demand(
            self.recall.kind == "none" or self.folder is None,
            "recall is for a url: from a folder recalled files are removed. Take recall out.",
        )
        demand(
            self.recall.kind != "orthanc" or bool(self.rest_url),
            "recall of kind orthanc needs rest_url, Orthanc's REST root, because url does not end with /dicom-web.",
        )
        if self.recall.rest_url:
            self.auth.demand_cover("recall.rest_url", self.recall.rest_url)

    @property
    def rest_url(self) -> str:
        """Orthanc's REST root; "" if it is not known."""
        return self.recall.rest_url or (self.url.removesuffix(_PLUGIN) if self.url.endswith(_PLUGIN) else "")


def is_covered(url: str) -> bool:
    """Whether nobody on the way can read what is sent to ``url``: it is https, or stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme != "http" or parts.hostname in LOOPBACK


def _is_web(url: str) -> bool:
    """Whether this is an http(s) URL; a port that cannot be raises ValueError with the reason."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
