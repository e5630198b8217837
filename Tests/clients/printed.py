# SPDX-License-Identifier: Apache-2.0
# Part of Parley, an LLM gateway.
"""Prints what tests recorded as their `printed` property at the end of the run, whichever worker ran them."""


def pytest_terminal_summary(terminalreporter):
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, text in report.user_properties:
                    if name == "printed":
                        terminalreporter.write_line(text)
