"""``appliance doctor``: examines the machine and the configuration, and says what is wrong and what to do."""

from pathlib import Path

import click

from appliance.cli.checks import Finding, Severity, examine
from appliance.cli.options import answer, load, say, with_config
from appliance.errors import ConfigError

EXIT = {Severity.OK: 0, Severity.WARNING: 1, Severity.ERROR: 2}
MARK = {Severity.OK: "ok     ", Severity.WARNING: "warning", Severity.ERROR: "ERROR  "}


@click.command("doctor")
@with_config
def command(config_file: Path | None, as_json: bool) -> int:
    """Examine configuration, key, disk, ports, destinations and inbox. Exit status: 0 fine, 1 warnings, 2 errors."""
    try:
        findings = examine(load(config_file))
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
