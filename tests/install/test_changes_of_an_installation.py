"""What the playbook does to an installation that works when something of its site changes: as little as it can."""

import ssl
from contextlib import contextmanager

import pyrage
import pytest

from tests.install.conftest import SUITES, variables
from tests.make.certificates import Authority
from tests.peers.booted import Booted, play
from tests.peers.caller import EXPLICIT, VERIFICATION, Caller

CHANGE = ("--tags", "config")  # of configuration and secrets: the program stays as it is
SERVICES = ("receive", "inbox", "deidentify", "forward", "purge-inside", "purge-outside", "watch")


class Changing:
    """An installed host, and what its inventory says now."""

    def __init__(self, host, authority, said):
        self.host, self.authority, self.said = host, authority, said

    def play(self, *more):
        played = play("site", self.host.inventory(self.said), *more)
        assert played.ok, played.output[-3000:]
        return played

    def processes(self):
        """Service -> its main process."""
        units = " ".join(f"appliance-{each}" for each in SERVICES)
        shown = self.host.run(f"for each in {units}; do systemctl show -p MainPID --value $each; done").split()
        assert "0" not in shown
        return dict(zip(SERVICES, shown, strict=True))

    @contextmanager
    def only_begins_anew(self, *expected):
        """Of the services just these get another process meanwhile."""
        before = self.processes()
        yield
        after = self.processes()
        assert {each for each in SERVICES if before[each] != after[each]} == set(expected)

    def certificate(self):
        """What the encrypted port shows to who calls now."""
        trusting = ssl.create_default_context(cafile=self.authority.certificate)
        trusting.check_hostname = False
        trusting.load_cert_chain(*self.authority.sign("ct1"))
        with Caller(2762, host=self.host.address, tls=trusting) as caller:
            return caller.sock.getpeercert()["serialNumber"]


@pytest.fixture(scope="module", params=SUITES)
def changing(tmp_path_factory, request, bundles):
    folder = tmp_path_factory.mktemp("changing")
    (folder / "hosts").mkdir()
    with Booted(folder / "hosts", request.param, "changing") as host:
        authority = Authority(folder / "tls")
        said = variables(bundles["now"], 8042, authority, str(pyrage.x25519.Identity.generate().to_public()))
        said["appliance_config"]["scp"] |= {"peers": "any", "idle_s": 1800}
        changing = Changing(host, authority, said)
        changing.play()
        yield changing


@contextmanager
def open_association(host):
    """An association that is there all the while, and still answers at the end."""
    with Caller(11112, host=host.address) as caller:
        assert caller.request({1: (VERIFICATION, [EXPLICIT])}, calling=b"CT1").rejected is None
        yield
        assert caller.echo(1) == 0


def test_a_limit_is_taken_over_while_an_association_is_open_and_no_service_begins_anew(changing):
    changing.said["appliance_config"]["scp"]["max_associations"] = 2

    with changing.only_begins_anew(), open_association(changing.host):
        changing.play(*CHANGE)

        with open_association(changing.host), Caller(11112, host=changing.host.address) as third:
            assert third.request({1: (VERIFICATION, [EXPLICIT])}).rejected is not None, "the limit is in force"


def test_a_renewed_certificate_is_shown_from_then_on_and_no_service_begins_anew(changing):
    before = changing.certificate()
    changing.authority.sign("edge")

    with changing.only_begins_anew(), open_association(changing.host):
        changing.play(*CHANGE)

    assert changing.certificate() != before


def test_a_renewed_password_makes_only_the_service_that_holds_it_begin_anew(changing):
    changing.said["appliance_secrets"]["research.password"] = "sesame-of-next-year"

    with changing.only_begins_anew("forward"), open_association(changing.host):
        changing.play(*CHANGE)

    held = changing.host.run("cat /run/credentials/appliance-forward.service/research.password")
    assert held.strip() == "sesame-of-next-year"


def test_who_may_look_on_changes_only_the_service_that_they_look_at(changing):
    changing.said["appliance_watch_networks"] = ["198.18.0.0/15"]

    with changing.only_begins_anew("watch"), open_association(changing.host):
        changing.play(*CHANGE)


def test_another_port_makes_only_the_receiver_begin_anew(changing):
    changing.said["appliance_config"]["scp"]["port"] = 10104

    with changing.only_begins_anew("receive"):
        changing.play()  # the firewall too

    with Caller(10104, host=changing.host.address) as caller:
        assert caller.request({1: (VERIFICATION, [EXPLICIT])}).rejected is None


def test_what_was_written_by_hand_and_never_put_into_force_is_put_into_force_by_the_next_change(changing):
    """The file before is then not what the receiver works with; it says so, and is started anew."""
    changing.host.run("sed -i 's/reserve_gb: 0.1/reserve_gb: 0.2/' /etc/appliance/appliance.yaml")
    changing.said["appliance_config"]["spool"]["reserve_gb"] = 0.2
    changing.said["appliance_config"]["scp"]["max_pdu_kb"] = 64

    with changing.only_begins_anew("receive"):
        changing.play(*CHANGE)


def test_a_key_that_does_not_fit_fails_the_playbook_and_the_receiver_goes_on_with_what_it_had(changing):
    before = changing.certificate()
    key = changing.authority.certificate.with_name("edge.key")
    fitting = key.read_bytes()
    key.write_bytes(changing.authority.sign("another")[1].read_bytes())

    with changing.only_begins_anew():
        played = play("site", changing.host.inventory(changing.said), *CHANGE)
        assert not played.ok
        assert "goes on with what it had" in played.output

    assert changing.certificate() == before
    key.write_bytes(fitting)
    changing.play(*CHANGE)


def test_a_run_after_all_that_changes_nothing(changing):
    assert changing.play().changes() == []
