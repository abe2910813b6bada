"""``appliance doctor``: examines the machine and the configuration, and says what is wrong and what to do."""

from pathlib import Path

import click

from appliance.cli.at_the_door import knock
from appliance.cli.audit_receiver import look_at_receiver
from appliance.cli.checks import Finding, Severity, examine, looked
from appliance.cli.logins import look_at_logins
from appliance.cli.options import answer, load, say, with_config
from appliance.cli.page_login import look_at_page_login
from appliance.cli.sent_through import send_through
from appliance.cli.through import WAIT_S, go_through
from appliance.errors import ConfigError

EXIT = {Severity.OK: 0, Severity.WARNING: 1, Severity.ERROR: 2}
MARK = {Severity.OK: "ok     ", Severity.WARNING: "warning", Severity.ERROR: "ERROR  "}


@click.command("doctor")
@with_config
@click.option("--send", is_flag=True, help="Also store an invented image at each destination, and look for it there.")
@click.option("--through", is_flag=True, help="Also send a phantom the whole way of an image, from our own door on.")
@click.option(
    "--wait",
    "wait_s",
    default=WAIT_S,
    show_default=True,
    type=click.FloatRange(1, 3600),
    metavar="SECONDS",
    help="How long its way may take.",
)
def command(config_file: Path | None, as_json: bool, send: bool, through: bool, wait_s: float) -> int:
    """Examine configuration, key, disk, ports, destinations, inbox and who is told. Exit: 0 fine, 1 warnings, 2 errors.

    The receiver that is at work is called by C-ECHO, as a modality would.

    With --send an invented image (Patient ID APPLIANCE-DOCTOR) is stored twice under one UID at each destination with
    a url: whether it keeps or replaces is compared with existing, and it is deleted again where recall is configured.

    With --through a phantom of the same Patient ID is sent to our own receiver by C-STORE, followed until each
    destination names it, and fetched there: none of its identifiers may have come out. It is taken back where recall
    is configured, and stays in the books, marked by its Patient ID. Needs the rights of root on an installed host.
    """
    try:
        settings = load(config_file)
        findings = examine(settings)
        for name, look in (("echo", knock), ("login", look_at_logins), ("status page login", look_at_page_login)):
            findings += looked(look, settings, name)
        if settings.audit.syslog is not None:
            findings += look_at_receiver(settings.audit.syslog)
        if send:
            findings += [each for there in settings.destinations if there.url for each in send_through(there)]
        if through:
            findings += go_through(settings, wait_s=wait_s, tell=lambda words: click.echo(words, err=True))
    except ConfigError as error:
        findings = [Finding("configuration", Severity.ERROR, str(error), "Mend the file, then run this again.")]
    worst = max((finding.severity for finding in findings), default=Severity.OK)
    if as_json:
        answer(
            {
                "worst": worst.name.lower(),
                "checks": [
                    {"check": each.check, "severity": each.severity.name.lower(), "what": each.what, "do": each.do}
                    for each in findings
                ],
            }
        )
    else:
        for each in findings:
            say(f"{MARK[each.severity]} {each.check}: {each.what}")
            if each.do:
                say(f"        {each.do}")
    return EXIT[worst]
