"""Questions that the tests of the doctor ask of a finding."""

from mixlab.doctor.checks import OK, Finding


def require(finding: Finding, level: str, *parts: str) -> None:
    assert finding.level == level, finding
    assert bool(finding.fix) == (level != OK)
    assert "\n" not in finding.text
    for part in parts:
        assert part in f"{finding.text} {finding.fix}"
