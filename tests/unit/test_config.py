from pathlib import Path

import pytest

from appliance import config
from appliance.delivery import Recall
from appliance.errors import ConfigError

MINIMAL = """\
site: st-elsewhere
state: ./var
destinations:
  - name: research
    folder: ./outbox
"""


@pytest.fixture
def written(tmp_path):
    """Load a configuration made of MINIMAL and some lines more."""

    def load(more="", *, base=MINIMAL):
        file = tmp_path / "site.yaml"
        file.write_text(base + more)
        return config.load(file)

    return load


def complaint(written, more, **base):
    with pytest.raises(ConfigError) as caught:
        written(more, **base)
    return str(caught.value).partition("site.yaml ")[2]


def test_paths_are_relative_to_the_file_and_defaults_are_in_the_types(written, tmp_path):
    found = written()

    assert found.state == tmp_path / "var"
    assert found.destinations[0].folder == tmp_path / "outbox"
    assert (found.scp.port, found.retention.originals_days, found.spool.reserve_bytes) == (11112, 7, 2 * 1024**3)
    assert found.inbox is None
    assert found.file == tmp_path / "site.yaml"


def test_the_shape_that_the_architecture_promises_loads(written):
    found = written(
        """\
mapping: {key_file: ./secrets/pseudonym.key}
scp:
  ae_title: EDGE
  host: 0.0.0.0
  port: 11112
  peers:
    - {ae_title: CT1, address: 10.1.2.3, source: CT1}
    - {ae_title: MR-2, address: 10.1.3.0/24}
  tls: {port: 2762, certificate: c.pem, key: k.pem, client_ca: ca.pem}
inbox:
  path: ./inbox
  quiet_s: 60
  clinics: {clinic-a: {source: clinic_a, release: manual}}
spool: {reserve_gb: 2}
retention: {originals_days: 7, discarded_days: 7, rows_days: 365}
watch: {host: 127.0.0.1, port: 9112}
"""
    )

    assert [peer.source for peer in found.scp.peers] == ["CT1", "MR_2"]
    assert found.sources == {"unlisted", "CT1", "MR_2", "clinic_a"}
    assert found.is_manual("main", "clinic_a")
    assert not found.is_manual("main", "CT1")
    assert found.domain_of("CT1", "") == found.domain_of("MR_2", "") == "site"
    assert found.domain_of("clinic_a", "clinic_a") != "site"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("scpp: {}\n", "line 6: 'scpp' is not a known setting. Did you mean 'scp'?"),
        ("scp:\n  ae_title: EDGE\n  prot: 104\n", "line 8: 'scp.prot' is not a known setting. Did you mean 'port'?"),
        ("scp:\n  ae_title: EDGE\n  port: 99999\n", "line 8: scp: port must be 0 to 65535."),
        ("retention: {early_below_gb: 2}\n", "retention.early_below_gb must be more than spool.reserve_gb"),
        (
            "retention: {early_below_gb: 9}\n"
            "scp: {peers: [{ae_title: CT1, address: 10.0.0.7, commitment: {promise: in-custody, port: 104}}]}\n",
            "retention.early_below_gb and the promise 'in-custody' to CT1 exclude each other",
        ),
        ("watch: {login: {}}\n", "line 6: watch.login: passwords or proxy: name a file of passwords"),
        ("scp:\n  port: eleven\n", "line 7: 'scp.port' must be a whole number, not a text."),
        ("scp:\n  port: 011112\n", "line 7: 'scp.port' must be a whole number, not a text."),
        ("scp:\n  idle_s: .inf\n", "line 7: 'scp.idle_s' must be a finite number."),
        ("scp:\n  peers: all\n", "line 7: 'scp.peers' must be a list, or the word 'any'."),
        (
            "scp:\n  peers:\n    - {ae_title: 17}\n",
            "line 8: 'scp.peers[0].ae_title' must be a text; write it in quotes.",
        ),
        (
            "scp:\n  peers:\n    - {ae_title: CT, address: 10.1.2.3,"
            " commitment: {promise: delivered, port: 104, tls: true}}\n",
            "line 7: scp: peers: commitment.tls needs scp.tls with client_ca",
        ),
        (
            "scp:\n  peers:\n    - {ae_title: CT, commitment: {promise: delivered, port: 104}}\n",
            "line 8: scp.peers[0]: commitment needs a host: the peer has no single address",
        ),
        (
            "scp:\n  peers:\n    - {ae_title: CT, commitment: {promise: delivered, port: 104, host: ct.example.org}}\n",
            "line 8: scp.peers[0].commitment: host must be an IP address",
        ),
        (
            "scp:\n  peers:\n    - {ae_title: CT, address: 10.1.2.3, commitment: {promise: custody, port: 104}}\n",
            "line 8: 'scp.peers[0].commitment.promise' must be",
        ),
        (
            "scp:\n  peers:\n    - {ae_title: CT, address: 10.1.2.3, commitment: {promise: delivered, port: 0}}\n",
            "line 8: scp.peers[0].commitment: port must be 1 to 65535.",
        ),
        ("scp:\n  peers:\n    - {ae_title: ' CT'}\n", "line 8: scp.peers[0]: ae_title must be 1 to 16 characters"),
        (
            "scp:\n  peers:\n    - {ae_title: CT, address: 10.1.2.3/24}\n",
            "line 8: 'scp.peers[0].address' must be an IP address or a network such as 10.1.2.0/24",
        ),
        (
            "scp:\n  peers:\n    - {ae_title: A, source: unlisted}\n",
            "line 8: scp.peers[0]: source must not be 'unlisted'",
        ),
        ("scp:\n  tls: {port: 11112, certificate: c, key: k}\n", "line 7: scp: port must differ from tls.port"),
        ("inbox: ./inbox\n", "line 6: a mapping (key: value) is needed here, not a text."),
        ("inbox: {quiet_s: 5}\n", "line 6: 'inbox.path' is missing and must be given."),
        ("inbox: {path: i, failed_days: 0}\n", "line 6: inbox: failed_days must be at least 1, so that the clinic can"),
        ("inbox: {path: ~/inbox}\n", "line 6: 'inbox.path' begins with ~"),
        ("inbox: {path: i, clinics: {_a: {}}}\n", "line 6: inbox: clinics are plain folder names"),
        ("inbox: {path: i, clinics: {a/b: {}}}\n", "line 6: inbox: clinics are plain folder names"),
        ("retention:\n  rows_days: -1\n", "line 7: retention: rows_days must be at least 0."),
        ("watch: {port: 70000}\n", "line 6: watch: port must be 0 to 65535."),
        ("release: maybe\n", "line 6: 'release' must be one of: automatic, manual."),
        ("site: again\n", "line 6: 'site' stands here twice (first on line 1). Keep one."),
        ("scp: &a {}\ninbox: *a\n", "line 6: aliases (*name) are not supported here"),
        (
            "projects: {p: {destinations: [nowhere]}}\n",
            "line 6: projects: 'p' names the unknown destination 'nowhere'.",
        ),
        ("projects: {p: {clinics: [nowhere]}}\n", "line 6: projects: 'p' names the unknown clinic 'nowhere'."),
        ("projects: {p: {called: [A]}, q: {called: [A]}}\n", "projects: 'p' and 'q' both claim AE title A"),
        ("identity: {domains: {d: [X9]}}\n", "identity.domains.d names 'X9', the source of no peer or clinic."),
    ],
)
def test_a_wrong_setting_is_told_with_file_line_and_what_to_write(written, more, says):
    told = complaint(written, more)

    assert told.startswith((says, f"line 6: {says}"))


@pytest.mark.parametrize(
    ("destination", "says"),
    [
        ("{name: a}", "give either url or folder."),
        ("{name: a, url: 'https://x/dicom-web', folder: ./o}", "give either url or folder."),
        ("{name: a, url: 'ftp://x'}", "url must begin http:// or https://"),
        ("{name: a, url: 'https://x:99999/'}", "Port out of range"),
        ("{name: a, url: 'https://user:pw@x/'}", "url must not hold a user or password; use auth."),
        ("{name: a, url: 'https://x/dicom-web/studies/'}", "url must end before /studies."),
        ("{name: a, url: 'https://x', auth: {kind: basic, user: u}}", "kind basic needs password_file."),
        ("{name: a, url: 'https://x', auth: {user: u, password_file: p}}", "user means nothing with kind none."),
        (
            "{name: a, url: 'https://x', auth: {kind: bearer, token: s3cret}}",
            "'destinations[0].auth.token' is not a known",
        ),
        (
            "{name: a, url: 'https://x', recall: {kind: magic}}",
            "'destinations[0].recall.kind' must be one of: none, dicomweb, orthanc.",
        ),
        ("{name: a, url: 'https://x', recall: {rest_url: 'https://y'}}", "rest_url means nothing with kind none."),
        ("{name: a, url: 'https://x', recall: {kind: orthanc}}", "recall of kind orthanc needs rest_url"),
        (
            "{name: a, url: 'https://x', recall: {kind: orthanc, rest_url: 'https://u:p@y'}}",
            "rest_url must not hold a user or password; use auth.",
        ),
        ("{name: a, folder: out, recall: {kind: dicomweb}}", "from a folder recalled files are removed."),
        ("{name: a, url: 'https://x', existing: maybe}", "'destinations[0].existing' must be one of: replaced, kept."),
        (
            "{name: a, url: 'http://pacs.example.org/d', auth: {kind: basic, user: u, password_file: p}}",
            "destinations[0]: url is http, and with auth kind basic whoever is on the way could read the secret. "
            "Write https; or, if the way is protected otherwise, auth: {in_clear: true}.",
        ),
        ("{name: a, url: 'http://127.0.0.1.example.org', auth: {kind: bearer, token_file: t}}", "url is http, and"),
        (
            "{name: a, url: 'https://x', auth: {kind: oidc, token_url: 'http://sso.example.org/t', client_id: c,"
            " client_secret_file: s}}",
            "token_url is http, and",
        ),
        ("{name: a, url: 'http://x', auth: {in_clear: true}}", "in_clear means nothing with kind none."),
        ("{name: A B, folder: ./o}", "name must be lower-case letters"),
    ],
)
def test_a_destination_that_cannot_work_is_told(written, destination, says):
    told = complaint(written, "", base=f"site: s\nstate: ./var\ndestinations: [{destination}]\n")

    assert says in told
    assert told.startswith("line 3: ")
    assert "pw" not in told
    assert "s3cret" not in told


@pytest.mark.parametrize("place", ["https://x", "http://localhost:8042", "http://127.0.0.1:8042", "http://[::1]:8042"])
def test_a_secret_may_be_shown_where_nobody_is_on_the_way(written, place):
    auth = "auth: {kind: basic, user: u, password_file: p}"
    written(base=f"site: s\nstate: v\ndestinations: [{{name: a, url: '{place}/dicom-web', {auth}}}]\n")


def test_a_site_may_insist_on_showing_a_secret_in_clear(written):
    auth = "auth: {kind: basic, user: u, password_file: p, in_clear: true}"
    found = written(base=f"site: s\nstate: v\ndestinations: [{{name: a, url: 'http://x/dicom-web', {auth}}}]\n")

    assert found.destinations[0].auth.in_clear


def test_the_url_loses_its_last_slash_so_that_paths_can_follow(written):
    found = written(base="site: s\nstate: v\ndestinations: [{name: a, url: 'https://x/dicom-web/'}]\n")

    assert found.destinations[0].url == "https://x/dicom-web"


def test_two_clinics_whose_names_become_one_source_are_refused_because_their_patients_would_be_joined(written):
    assert "would both be called 'clinic_a'" in complaint(
        written, "inbox: {path: i, clinics: {clinic-a: {}, clinic_a: {}}}\n"
    )


def test_two_clinics_may_share_a_source_when_the_site_says_so(written):
    found = written("inbox: {path: i, clinics: {a1: {source: A}, a2: {source: A}}}\n")

    assert {clinic.source for clinic in found.inbox.clinics.values()} == {"A"}


def test_of_two_senders_that_share_a_source_the_careful_one_wins(written):
    found = written(
        "scp:\n  peers:\n    - {ae_title: CT1, source: CT, release: automatic}\n"
        "    - {ae_title: CT2, source: CT, release: manual}\n"
    )

    assert found.is_manual("main", "CT")


def test_a_source_s_word_on_release_goes_before_the_project_s_and_the_site_s(written):
    found = written(
        "release: manual\nscp:\n  peers:\n    - {ae_title: CT1, release: automatic}\n    - {ae_title: CT2}\n"
        "projects: {p: {called: [P], release: automatic}}\n"
    )

    assert not found.is_manual("main", "CT1")
    assert found.is_manual("main", "CT2")
    assert not found.is_manual("p", "CT2")
    assert found.is_manual("p", "CT1") is False


def test_a_project_is_found_by_called_ae_title_or_clinic_folder(written):
    found = written("inbox: {path: i, clinics: {north: {}}}\nprojects: {p: {called: [P]}, q: {clinics: [north]}}\n")

    assert found.project_of(called_ae="P") == "p"
    assert found.project_of(clinic="north") == "q"
    assert found.project_of(called_ae="OTHER") == "main"
    assert found.project_of() == "main"


def test_identity_domains_join_the_sources_that_share_patient_ids(written):
    found = written(
        "inbox: {path: i, clinics: {north: {}, south: {}, west: {}}}\nidentity: {domains: {city: [north, south]}}\n"
    )

    assert found.domain_of("north", "north") == found.domain_of("south", "south") == "city"
    assert found.domain_of("west", "west") not in ("city", "site")


def test_a_missing_file_is_told_in_words(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file or directory\."):
        config.load(Path(tmp_path / "nowhere.yaml"))


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        ("{every_s: 60}", "notify needs mail or webhook"),
        ("{mail: {host: m, to: [], sender: a@b.c}}", "at least one address"),
        ("{mail: {host: m, to: [everybody], sender: a@b.c}}", "addresses"),
        ("{mail: {host: m, to: [a@b.c], sender: a@b.c, user: edge}}", "go together"),
        ("{mail: {host: m, to: [a@b.c], sender: a@b.c, user: e, password_file: p, encryption: none}}", "not encrypted"),
        ("{webhook: {url: 'ftp://x'}}", "http:// or https://"),
        ("{webhook: {url: 'http://chat.example.org/x', token_file: t}}", "use https"),
        ("{webhook: {url: 'https://chat.example.org/x'}, timeout_s: 60}", "at most 20"),
    ],
)
def test_a_notification_that_could_not_work_or_would_show_a_secret_is_an_error_with_its_line(tmp_path, notify, said):
    file = tmp_path / "site.yaml"
    file.write_text(f"site: s\nstate: ./var\ndestinations: [{{name: r, folder: ./o}}]\nnotify: {notify}\n")

    with pytest.raises(ConfigError, match=said) as raised:
        config.load(file)

    assert raised.value.line == 4


@pytest.mark.parametrize(
    ("syslog", "said"),
    [
        ("{port: 6514}", "host"),
        ("{host: ''}", "host must name the receiver"),
        ("{host: audit, port: 0}", "port must be 1 to 65535"),
        ("{host: audit, tls: false}", "whoever is on the way can read and change"),
        ("{host: audit, in_clear: true}", "in_clear means something with tls: false only"),
        ("{host: localhost, tls: false, ca: ca.pem}", "with tls only"),
        ("{host: audit, certificate: c.pem}", "certificate and key go together"),
        ("{host: audit, timeout_s: 60}", "at most 10"),
        ("{host: audit, source_id: 'Bäd'}", "printable ASCII"),
        ("{host: audit, protocol: udp}", "protocol"),
    ],
)
def test_a_receiver_of_audit_messages_that_could_not_work_or_be_read_is_an_error_with_its_line(tmp_path, syslog, said):
    file = tmp_path / "site.yaml"
    file.write_text(f"site: s\nstate: ./var\ndestinations: [{{name: r, folder: ./o}}]\naudit: {{syslog: {syslog}}}\n")

    with pytest.raises(ConfigError, match=said) as raised:
        config.load(file)

    assert raised.value.line == 4


@pytest.mark.parametrize(
    "syslog", ["{host: audit}", "{host: '::1', tls: false}", "{host: a, tls: false, in_clear: true}"]
)
def test_audit_messages_are_off_unless_a_receiver_is_named_and_go_in_clear_only_where_that_is_said(tmp_path, syslog):
    file = tmp_path / "site.yaml"
    text = "site: s\nstate: ./var\ndestinations: [{name: r, folder: ./o}]\n"

    file.write_text(text)
    off = config.load(file).audit.syslog
    file.write_text(f"{text}audit: {{syslog: {syslog}}}\n")
    on = config.load(file).audit.syslog

    assert off is None
    assert on.port == 6514


def test_the_rest_root_of_an_orthanc_follows_from_its_dicomweb_root_unless_it_is_given():
    implied = config.Destination("a", url="https://x/dicom-web/", recall=Recall("orthanc"))
    given = config.Destination("a", url="https://x/web", recall=Recall("orthanc", rest_url="https://y/orthanc/"))

    assert (implied.rest_url, given.rest_url) == ("https://x", "https://y/orthanc")
