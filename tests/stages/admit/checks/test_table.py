import json

import pytest

from instar.core.codec import decode, encode
from instar.core.finding import Finding, Verdict
from instar.stages.admit import checks
from instar.stages.admit.checks import CHECKS
from instar.testing.contracts.families import family_files, unknown_name


def test_checks_every_file_is_in_the_table():
    family_files(CHECKS, checks)
    unknown_name(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_check_good_rows_pass_with_a_record_that_can_be_kept(name, evidence):
    findings = CHECKS[name](evidence())
    assert findings
    for finding in findings:
        assert isinstance(finding, Finding)
        assert finding.code.split(":")[0] == name
        assert finding.message
        assert finding.verdict is Verdict.PASS, finding.message
        assert not finding.passes_if
        stored = json.loads(json.dumps(encode(finding)))
        assert decode(Finding, stored).message == finding.message


@pytest.mark.parametrize("name", CHECKS)
def test_check_few_rows_and_missing_values_raise_nothing(name, evidence, table):
    frame = (
        table(12, seed=3)
        .with_columns(temp=None, load=None)
        .with_columns(table(12)["temp"].alias("load"))
    )
    frame = frame.cast({"temp": float})
    for answer in CHECKS[name](evidence(frame)):
        assert answer is not None
