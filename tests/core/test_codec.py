from __future__ import annotations

import dataclasses
import json
import math
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instar.core.codec import BadRecord, decode, encode, filed
from instar.core.data import Column, Kind, Role, Schema
from instar.core.digest import canonical
from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import Policy
from instar.core.records import Training, Vote, VoteKind
from instar.core.update import KINDS
from tests.service import line

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FINDINGS = st.builds(
    Finding,
    code=st.text(),
    verdict=st.sampled_from(Verdict),
    message=st.text(),
    measured=st.none() | NUMBERS,
    interval=st.none() | st.builds(Interval, NUMBERS, NUMBERS, NUMBERS),
    n=st.none() | st.integers(),
    picture=st.dictionaries(st.text(), st.integers() | st.text() | st.lists(NUMBERS)),
)


@given(FINDINGS)
def test_record_survives_json(finding: Finding) -> None:
    assert decode(Finding, json.loads(json.dumps(encode(finding)))) == finding


def test_nested_records_tuples_and_enums_survive() -> None:
    column = Column("x", Kind.IMAGE, Role.FEATURE, "Binary", size=(28, 28), mode="L")
    schema = Schema((column, Column("y", Kind.CATEGORY, Role.TARGET, "String", ("a", "b"))))
    assert decode(Schema, encode(schema)) == schema


def test_policy_survives() -> None:
    assert decode(Policy, encode(Policy())) == Policy()


def test_nan_becomes_null_and_nan_again() -> None:
    written = encode(Interval(math.nan, math.inf))
    assert (written["low"], written["high"]) == (None, None)
    assert math.isnan(decode(Interval, written).low)


VOTE = {"kind": "approve", "by": "a", "at": 0.0, "validation": "", "bundle": "", "policy": ""}


@pytest.mark.parametrize(
    "body",
    [
        7,
        {"kind": "approve"},
        {"kind": "bribe", "by": "a", "at": 0.0, "validation": "", "bundle": "", "policy": ""},
        {
            "kind": "approve",
            "by": "a",
            "at": 0,
            "validation": "",
            "bundle": "",
            "policy": "",
            "x": 1,
        },
    ],
    ids=["no mapping", "fields missing", "no such member", "unknown field"],
)
def test_body_that_is_no_such_record_is_refused(body: Any) -> None:
    with pytest.raises(BadRecord):
        decode(Vote, body)


def test_missing_field_takes_its_default() -> None:
    body = {"kind": "approve", "by": "a", "at": 1, "validation": "v", "bundle": "b", "policy": "p"}
    assert decode(Vote, body) == Vote(VoteKind.APPROVE, "a", 1.0, "v", "b", "p")


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
def test_value_that_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize("record", KINDS.values(), ids=KINDS)
def test_every_record_is_frozen_and_has_readable_hints(record: Any) -> None:
    assert record.__dataclass_params__.frozen
    assert typing.get_type_hints(record).keys() == {f.name for f in dataclasses.fields(record)}


def test_filed_record_is_written_the_same_once_it_was_read_back() -> None:
    made = dataclasses.replace(line.TRAINING, recipe={"batch": 16}, changes=())
    body = filed(made)
    assert canonical(body) == canonical(encode(decode(Training, body)))
    assert canonical(encode(made)) != canonical(body)  # or the test would prove nothing
