"""Says at the end of a run, by name, what could not be run on this machine; draws the same examples in every run.

A property that fails once in a thousand runs is a find for whoever explores (--hypothesis-profile=explore), not for the
run that decides whether somebody's change lands. How long an example takes is never judged: a machine may be busy.
"""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("not run on this machine")
    for report in skipped:
        _file, _line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
        terminalreporter.line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
