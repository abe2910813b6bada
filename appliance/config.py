"""The configuration as types: what a site may say, its defaults and units, and nothing else.

Read at start, and again on SIGHUP (``services.reload``). Units are in the names, paths are relative to the file, and
secrets come from files or systemd credentials, never from the YAML. Functions take the section they need, no more.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from appliance import yamlfile
from appliance.auditing import Auditing
from appliance.bounds import Deidentify, Pixels
from appliance.commitment import AE_TITLE_WORDS, Commitment, is_ae_title
from appliance.delivery import Auth, ClientCertificate, Destination, is_name
from appliance.errors import ConfigError
from appliance.keeping import Backup, Retention
from appliance.model import ONLY_PROJECT, UNLISTED, is_source
from appliance.notification import Notify
from appliance.operators import Watch
from appliance.yamlfile import Network, demand

MiB = 1024 * 1024
GiB = 1024 * MiB

Release = Literal["automatic", "manual"]
Missing = Literal["mint", "hold", "quarantine"]

LONGEST_HOLD_S = 3600.0  # a delivery that is put off for longer is not believed: a clock was wrong


def _check_source(source: str) -> None:
    demand(is_source(source), "source must be 1 to 16 letters, digits or underscores.")
    demand(source != UNLISTED, f"source must not be '{UNLISTED}', the name of whoever is not configured.")


def _check_quota(quota_gb: float | None) -> None:
    demand(quota_gb is None or quota_gb > 0, "quota_gb must be more than 0; left out, there is none.")


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where the key of the pseudonyms is. Missing, or not the key the store was made with: no start."""

    key_file: Path | None = None  # left out: the systemd credential 'pseudonym-key'
    missing: Missing = "mint"  # what becomes of a patient whom no imported id list names


@dataclass(frozen=True, slots=True)
class Tls:
    """The second, encrypted port of the SCP. Source: PS3.15 B.12."""

    certificate: Path  # PEM, the chain of this appliance
    key: Path  # PEM
    port: int = 2762
    client_ca: Path | None = None  # PEM: only callers with a certificate of this CA; left out: any caller
    handshake_s: float = 10.0

    def __post_init__(self) -> None:
        demand(0 <= self.port <= 65535, "port must be 0 to 65535.")
        demand(self.handshake_s > 0, "handshake_s must be more than 0.")


@dataclass(frozen=True, slots=True)
class Peer:
    """A sender that is let in."""

    ae_title: str
    address: Network | None = None  # IP or CIDR; left out: any address
    source: str = ""  # its name in ids, paths and metrics; left out: made of the AE title
    release: Release | None = None  # overrides the site's
    quota_gb: float | None = None  # overrides spool.quota_gb
    commitment: Commitment | None = None  # left out: it is offered no storage commitment

    def __post_init__(self) -> None:
        demand(is_ae_title(self.ae_title), AE_TITLE_WORDS)
        _check_quota(self.quota_gb)
        if self.commitment is not None:
            object.__setattr__(self, "commitment", self.commitment.of_peer(self.ae_title, self.address))
        if not self.source:
            object.__setattr__(self, "source", _source_of(self.ae_title))
        _check_source(self.source)


@dataclass(frozen=True, slots=True)
class Scp:
    """The DICOM receiver."""

    ae_title: str = "APPLIANCE"
    host: str = "0.0.0.0"  # noqa: S104 - a receiver listens on the hospital's network unless told otherwise
    port: int = 11112
    peers: Literal["any"] | tuple[Peer, ...] = "any"
    any_called_ae: bool = True  # false: a caller must name ae_title (or a project's) as the called AE title
    tls: Tls | None = None
    max_associations: int = 64
    idle_s: float = 60.0  # an association that says nothing for this long is aborted
    drain_s: float = 30.0  # SIGTERM: running associations may finish for this long
    max_pdu_kb: int = 128  # what we announce; PS3.8 D.1
    strict_uids: bool = False  # true: A900 when the data set's UIDs differ from the command's; else quarantine later

    def __post_init__(self) -> None:
        demand(is_ae_title(self.ae_title), AE_TITLE_WORDS)
        demand(0 <= self.port <= 65535, "port must be 0 to 65535.")
        demand(1 <= self.max_associations <= 1000, "max_associations must be 1 to 1000.")
        demand(4 <= self.max_pdu_kb <= 128, "max_pdu_kb must be 4 to 128.")
        demand(self.idle_s > 0, "idle_s must be more than 0.")
        demand(self.drain_s >= 0, "drain_s must be at least 0.")
        demand(
            self.tls is None or self.port == 0 or self.tls.port != self.port,
            "port must differ from tls.port: the encrypted port stands beside the plain one.",
        )
        promised = [peer.commitment for peer in (() if self.peers == "any" else self.peers)]
        demand(
            not any(each is not None and each.tls for each in promised)
            or (self.tls is not None and self.tls.client_ca is not None),
            "peers: commitment.tls needs scp.tls with client_ca: by these we and the peer know each other.",
        )


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic that drops files: the name of its inbox folder is the key in the configuration."""

    source: str = ""  # left out: made of the folder's name; two clinics may share one only if both say so
    release: Release | None = None
    quota_gb: float | None = None  # overrides spool.quota_gb

    def __post_init__(self) -> None:
        _check_quota(self.quota_gb)
        if self.source:
            _check_source(self.source)


@dataclass(frozen=True, slots=True)
class Archives:
    """How large a zip or tar may be before it is taken for an attack."""

    max_gb: float = 20.0  # all members together, unpacked
    max_ratio: float = 200.0  # unpacked to packed
    max_depth: int = 3  # archives in archives
    max_files: int = 100_000

    def __post_init__(self) -> None:
        demand(min(self.max_gb, self.max_ratio, self.max_depth, self.max_files) > 0, "limits must be more than 0.")


@dataclass(frozen=True, slots=True)
class Inbox:
    """The folders that clinics drop files into: one sub-folder a clinic."""

    path: Path
    quiet_s: float = 60.0  # no event and unchanged size and time for this long: the item has settled
    scan_s: float = 2.0  # events only wake; this scan decides
    processed_days: int = 7  # 0: taken files are removed
    failed_days: int | None = None  # what was not taken is removed after this long; left out: the clinic decides
    clinics: dict[str, Clinic] = field(default_factory=dict)  # folders not named here are taken as 'unlisted'
    archives: Archives = field(default_factory=Archives)

    def __post_init__(self) -> None:
        demand(self.quiet_s >= 0, "quiet_s must be at least 0.")
        demand(self.scan_s > 0, "scan_s must be more than 0.")
        demand(self.processed_days >= 0, "processed_days must be at least 0.")
        demand(
            self.failed_days is None or self.failed_days >= 1,
            "failed_days must be at least 1, so that the clinic can look; left out, nothing in _failed is removed.",
        )
        known: dict[str, str] = {}
        for folder, clinic in list(self.clinics.items()):
            demand(
                "/" not in folder and not folder.startswith((".", "_")),
                f"clinics are plain folder names that begin with neither . nor _; '{folder}' is none.",
            )
            source = clinic.source or _source_of(folder)
            # Sources are what identity domains are made of: sharing one by accident would join strangers.
            demand(
                source not in known or bool(clinic.source),
                f"clinics '{known.get(source)}' and '{folder}' would both be called '{source}'. Give each a source.",
            )
            known[source] = folder
            self.clinics[folder] = Clinic(source, clinic.release, clinic.quota_gb)


@dataclass(frozen=True, slots=True)
class Project:
    """A share of the instances with its own rules, destinations or pseudonyms."""

    called: tuple[str, ...] = ()  # called AE titles
    clinics: tuple[str, ...] = ()  # inbox folders
    rules: Path | None = None
    destinations: tuple[str, ...] = ()  # names; empty: all
    own_pseudonyms: bool = False
    release: Release | None = None
    missing: Missing | None = None  # overrides mapping.missing


@dataclass(frozen=True, slots=True)
class Identity:
    """Which sources share their Patient IDs. The site's peers are one domain; each clinic is its own."""

    domains: dict[str, tuple[str, ...]] = field(default_factory=dict)  # domain -> sources
    issuers: tuple[str, ...] = ()  # Issuer of Patient ID values that are told apart
    hold_study_s: float = 0.0  # each image waits this long, so that a second Patient ID may come before it leaves

    def __post_init__(self) -> None:
        demand(0 <= self.hold_study_s <= LONGEST_HOLD_S, f"hold_study_s must be 0 to {LONGEST_HOLD_S:g}.")


@dataclass(frozen=True, slots=True)
class Spool:
    """The disk."""

    reserve_gb: float = 2.0  # below this, senders are told to retry later
    quota_gb: float | None = None  # originals of one source on the disk; beyond, it is told to retry later

    def __post_init__(self) -> None:
        _check_quota(self.quota_gb)
        demand(self.reserve_gb >= 0, "reserve_gb must be at least 0.")

    @property
    def reserve_bytes(self) -> int:
        return int(self.reserve_gb * GiB)


@dataclass(frozen=True, slots=True)
class Config:
    """One appliance."""

    site: str
    state: Path
    destinations: tuple[Destination, ...]
    mapping: Mapping = field(default_factory=Mapping)
    scp: Scp = field(default_factory=Scp)
    inbox: Inbox | None = None
    rules: Path | None = None  # left out: the packaged default
    release: Release = "automatic"  # manual: nothing leaves a source until an operator opens it
    identity: Identity = field(default_factory=Identity)
    projects: dict[str, Project] = field(default_factory=dict)
    deidentify: Deidentify = field(default_factory=Deidentify)
    pixels: Pixels = field(default_factory=Pixels)
    spool: Spool = field(default_factory=Spool)
    retention: Retention = field(default_factory=Retention)
    watch: Watch = field(default_factory=Watch)
    notify: Notify | None = None  # left out: nobody is told by message
    audit: Auditing = field(default_factory=Auditing)
    backup: Backup | None = None  # left out: no backup is made
    file: Path = field(default=Path(), metadata={"yaml": False})  # where it was read

    def __post_init__(self) -> None:
        demand(is_name(self.site), "site must be lower-case letters, digits, '-' or '_'.")
        names = [destination.name for destination in self.destinations]
        demand(bool(names), "destinations must name at least one.")
        demand(len(set(names)) == len(names), "destinations: two have the same name.")
        self._check_projects(set(names))
        self._check_early()
        known = self.sources
        for domain, sources in self.identity.domains.items():
            unknown = set(sources) - known
            demand(
                not unknown,
                f"identity.domains.{domain} names '{min(unknown, default='')}', the source of no peer or clinic.",
            )

    def _check_early(self) -> None:
        early = self.retention.early_below_gb
        demand(
            not early or early > self.spool.reserve_gb,
            "retention.early_below_gb must be more than spool.reserve_gb, below which senders are refused.",
        )
        peers = () if self.scp.peers == "any" else self.scp.peers
        promised = [each.ae_title for each in peers if each.commitment and each.commitment.promise == "in-custody"]
        demand(
            not early or not promised,
            f"retention.early_below_gb and the promise 'in-custody' to {', '.join(promised)} exclude each other: what "
            "is in custody stays for its days. Leave one out.",
        )

    def _check_projects(self, destinations: set[str]) -> None:
        clinics = set() if self.inbox is None else set(self.inbox.clinics)
        taken: dict[str, str] = {}
        for name, project in self.projects.items():
            demand(is_name(name), f"projects: '{name}' must be lower-case letters, digits, - or _.")
            for what, named, known in (
                ("destination", project.destinations, destinations),
                ("clinic", project.clinics, clinics),
            ):
                unknown = set(named) - known
                demand(not unknown, f"projects: '{name}' names the unknown {what} '{min(unknown, default='')}'.")
            for sender in (*(f"AE title {title}" for title in project.called), *project.clinics):
                demand(
                    sender not in taken,
                    f"projects: '{taken.get(sender)}' and '{name}' both claim {sender}; an instance belongs to one.",
                )
                taken[sender] = name

    def domain_of(self, source: str, clinic: str) -> str:
        """Return the identity domain: within one, the same Patient ID is the same patient."""
        for domain, sources in self.identity.domains.items():
            if source in sources:
                return domain
        return f"clinic:{clinic}" if clinic else "site"

    @property
    def mapping_store(self) -> Path:
        """The file of the mapping."""
        return self.state / "mapping" / "mapping.db"

    def missing_in(self, project: str) -> Missing:
        """Return what becomes of a patient of this project whom no id list names."""
        named = self.projects.get(project)
        return self.mapping.missing if named is None or named.missing is None else named.missing

    @property
    def sources(self) -> frozenset[str]:
        """Every label that an instance can have: the closed set of metric labels."""
        peers = () if self.scp.peers == "any" else self.scp.peers
        clinics = {} if self.inbox is None else self.inbox.clinics
        return frozenset({UNLISTED, *(p.source for p in peers), *(c.source for c in clinics.values())})

    def project_of(self, *, called_ae: str = "", clinic: str = "") -> str:
        """Return the project an instance belongs to, decided at the door: by called AE title or clinic folder."""
        for name, project in self.projects.items():
            if (called_ae and called_ae in project.called) or (clinic and clinic in project.clinics):
                return name
        return ONLY_PROJECT

    def is_manual(self, project: str, source: str) -> bool:
        """Whether nothing leaves until an operator opens the source: the source's word, the project's, the site's."""
        peers: tuple[Peer, ...] = () if self.scp.peers == "any" else self.scp.peers
        clinics = () if self.inbox is None else tuple(self.inbox.clinics.values())
        said = {peer.release for peer in peers if peer.source == source}
        said |= {clinic.release for clinic in clinics if clinic.source == source}
        if said - {None}:
            return "manual" in said  # of two that share a source the careful one wins
        named = self.projects.get(project)
        if named is not None and named.release is not None:
            return named.release == "manual"
        return self.release == "manual"


def load(file: Path) -> Config:
    """Return the configuration in ``file``; raises ConfigError with file, line and remedy."""
    config = yamlfile.read(Config, file)
    object.__setattr__(config, "file", file.absolute())
    return config


def _source_of(name: str) -> str:
    """Return a source made of a configured name: what is no letter or digit becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)[:16]


__all__ = ["Auth", "ClientCertificate", "Config", "ConfigError", "Deidentify", "Destination", "Pixels", "load"]
