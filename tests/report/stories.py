"""Three updates as they really go: a good one, one refused, one overridden and rolled back."""

from __future__ import annotations

from dataclasses import replace

from instar.core.data import Cleaning
from instar.core.finding import Comparison, Finding, Interval, Verdict
from instar.core.records import (
    Admission,
    Approval,
    Cost,
    Forecast,
    Layer,
    Phase,
    Plan,
    Release,
    Training,
    Validation,
    Vote,
    VoteKind,
    Watch,
)
from instar.report.story import Entry, Story
from tests.report import pieces as p

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
COURSE = (0.0, 0.3, 0.6, 0.8, 1.0)
CANDIDATE = "model_v20251124_1830"

ASSUMED = "CPU seconds x 10 W per core, an assumption"


def admission() -> Admission:
    drift = p.bars({"temp": 0.61, "hour": 0.02, "carrier": 0.04, "dest": 0.11}, 0.25)
    findings = (
        Finding("schema", PASS, "All 9 columns stand as the champion knows them.", 0, 0, n=28_243),
        Finding(
            "missing:pressure",
            PASS,
            "11.2 % of pressure is missing; the policy imputes it.",
            0.1123,
            0.05,
            "fraction",
            n=28_243,
        ),
        Finding(
            "drift",
            FAIL,
            "temp moved: June is warmer than January to May.",
            0.61,
            0.25,
            "PSI",
            n=28_243,
            enforced=False,
            passes_if="temp within a PSI of 0.25 of the old rows; reported only, so nothing to do",
            picture=drift,
        ),
        Finding("duplicates", PASS, "No row stands there twice.", 0.0, 0.01, "fraction", n=28_243),
        Finding("balance", PASS, "29 % of the rows are late.", 0.42, 0.6, "fraction", n=28_243),
        Finding("joint", PASS, "Old and fresh rows are hard to tell apart.", 0.71, 0.8, "AUROC"),
    )
    cleaning = (
        Cleaning("impute", "pressure", 3_172, {"fill": "1017.6", "by": "median"}),
        Cleaning("drop", "late", 670, {"why": "no label"}),
    )
    return Admission(
        PASS, findings, 28_243, p.SCHEMA, cleaning, p.digest("quarantine"), 12, p.SPLIT
    )


def plan() -> Plan:
    forecasts = (
        Forecast("keep", 0.0, 0.0, 0.0, 0, 0.0, 0.0, "nothing happens"),
        Forecast(
            "incremental", 0.0131, 0.0042, 0.021, 154_408, 6.4, 0.00009, "head probe, 19,301 rows"
        ),
        Forecast("hybrid", 0.0138, 0.0007, 0.018, 308_816, 12.9, 0.00018, "head probe with replay"),
        Forecast(
            "full", 0.0126, 0.0011, 0.064, 1_373_000, 58.2, 0.0008, "cost of the last full run"
        ),
    )
    layers = (
        Layer("body.0", "Linear", 9_024, 18_048, 4.1, 0.03),
        Layer("body.3", "Linear", 4_160, 8_320, 2.2, 0.11),
        Layer("head", "Linear", 65, 130, 0.4),
    )
    findings = (
        Finding("probe", PASS, "A new head alone gains 0.011.", 0.011, 0.002, n=4_136),
        Finding("dead", PASS, "7 % of the hidden units never fire.", 0.07, 0.5, "fraction"),
    )
    reason = (
        "the drift lies in what the columns mean together, the head alone recovers most of it, "
        "and replay keeps January to May for twice the price of incremental, a fifth of full"
    )
    return Plan(PASS, findings, "hybrid", reason, forecasts, layers)


def training() -> Training:
    findings = (
        Finding("convergence", PASS, "The loss still falls, slowly.", 0.004, 0.1, n=8),
        Finding("gradients", PASS, "Gradient norms stay between 0.3 and 0.9.", 0.87, 1.0, n=2_416),
    )
    return Training(
        PASS,
        findings,
        p.digest("weights"),
        p.PREPROCESSING,
        p.SCHEMA,
        (*p.CHAMPION.train, p.REQUEST.fresh),
        "hybrid",
        {"batch": 128, "epochs": 8, "lr": 0.001, "replay": 0.05},
        p.HISTORY,
        p.CHANGES,
        2_416,
        308_816,
        cost=Cost(13.4, 14.1, 612_000_000, 134.0, money=0.0002, method=ASSUMED),
    )


def bundled() -> tuple[Finding, ...]:
    return (
        Finding("parity", PASS, "Network and graph agree.", 3e-7, 1e-3, n=512),
        Finding("int8", PASS, "INT8 would cost 0.008 of auroc: FP32 serves.", 0.008, 0.005),
    )


def metric(name: str, measured: float, half: float, answer: Comparison) -> Finding:
    return Finding(
        f"compare:{name}",
        UNSURE if answer is Comparison.CANNOT_TELL else PASS,
        f"{answer.value}: {name} against the champion's, a gain of {measured:+.4f}",
        measured,
        -0.005,
        unit=name,
        interval=Interval(measured - half, measured + half),
        n=4_136,
        answer=answer,
        picture=p.roc(0.741, 0.741 + measured) if name == "auroc" else {},
    )


def validation() -> Validation:
    findings = (
        metric("auroc", 0.0152, 0.0061, Comparison.BETTER),
        metric("logloss", -0.0041, 0.0022, Comparison.NOT_WORSE),
        Finding("calibration", PASS, "Said and seen agree.", 0.018, 0.05, n=4_136,
                picture=p.calibration()),
        Finding("confusion", PASS, "Fewer late flights missed.", n=4_136, picture=p.confusion()),
        Finding(
            "flips", PASS, "1.9 % of the rows were right and are wrong now.", 0.0191, 0.02,
            "fraction", p.span(0.0191, 0.004), 4_136, picture=p.flips(),
        ),
        Finding("images", PASS, "Six rows whose answer changed.", n=6, picture=p.images()),
        Finding("slices", PASS, "No carrier is worse.", -0.008, -0.03, n=4_136,
                picture=p.carriers(0.004)),
        Finding("latency", PASS, "One row takes 0.9 ms at p99.", 0.91, 20.0, "ms", n=1_000),
        Finding("size", PASS, "The bundle is small.", 542_434, 5e8, "bytes"),
        Finding(
            "attack", UNSURE, "PGD could not be judged on so few rows.", 0.04, 0.05, "fraction",
            p.span(0.04, 0.03), 180, "about 420 more rows that the candidate answers rightly",
            labels_needed=420, enforced=False,
        ),
    )  # fmt: skip
    old = {"auroc": 0.7412, "auroc@old": 0.7388, "logloss": 0.5443, "accuracy": 0.7401}
    new = {"auroc": 0.7564, "auroc@old": 0.7381, "logloss": 0.5402, "accuracy": 0.7478}
    return Validation(
        PASS, findings, p.digest(CANDIDATE), old, new, (p.SPLIT.test,), Cost(4.2, 4.4, 410_000_000)
    )


def vote(kind: VoteKind, by: str, minute: float, reason: str = "", code: str = "") -> Vote:
    at = p.DAY + 60 * minute
    return Vote(
        kind, by, at, p.digest("validation"), p.digest(CANDIDATE), p.digest("policy"), reason, code
    )


def approval(votes: tuple[Vote, ...]) -> Approval:
    findings = (
        Finding("people", PASS, "Enough people, none of them the requester.", len(votes), 1.0),
        Finding("digests", PASS, "Bundle, validation and policy are the ones that were judged."),
    )
    bound = p.digest(CANDIDATE), p.digest("validation"), p.digest("policy")
    return Approval(PASS, findings, votes, *bound, 0, p.DAY + 72 * 3_600)


def step(
    phase: Phase, index: int, share: float, since: float, said: str, **more: object
) -> Release:
    shares = {p.CHAMPION.name: 1 - share, CANDIDATE: share}
    shares = {name: part for name, part in shares.items() if part}
    release = Release(phase, index, shares, PASS, (), said, since=p.DAY + since)
    return replace(release, **more)


def quality(measured: float, half: float, verdict: Verdict, n: int) -> Finding:
    worse = verdict is FAIL
    return Finding(
        "quality", verdict,
        "Brier score against the champion at the same time, valid at every look.",
        measured, -0.02, "", p.span(measured, half), n,
        "a lower bound above -0.02" if worse else "",
        Comparison.WORSE if worse else Comparison.NOT_WORSE,
        picture={
            "kind": "lines",
            "x": [0, 100, 200, 300, 400, n],
            "series": [
                {"name": "champion", "y": [None, 0.171, 0.169, 0.172, 0.17, 0.171]},
                {"name": "candidate", "y": [None, *(0.171 - measured * k for k in COURSE)]},
            ],
            "x_label": "labelled answers",
            "y_label": "Brier score",
        },
    )  # fmt: skip


def entries(kinds: str, verdicts: dict[str, Verdict]) -> tuple[Entry, ...]:
    return tuple(
        Entry(41 + i, kind, "ann" if kind == "request" else "worker", p.DAY + 9.0 * i,
              verdicts.get(kind, None if kind == "request" else PASS), p.digest(f"{i}{kind}"))
        for i, kind in enumerate(kinds.split())
    )  # fmt: skip


def good() -> Story:
    votes = (vote(VoteKind.APPROVE, "ben", 11, "gain holds for every carrier"),)
    live = (
        Finding("errors", PASS, "No answer failed.", 0.0, 0.02, "fraction", n=9_312),
        Finding("p99", PASS, "Answers are quick.", 7.4, 200.0, "ms", n=9_312),
        quality(0.006, 0.011, PASS, 912),
    )
    releases = (
        step(Phase.STEP, 1, 0.01, 0, "the way back was rehearsed", rehearsed_s=0.04),
        step(Phase.STEP, 2, 0.05, 14, "500 requests without a complaint", requests=502),
        step(Phase.STEP, 3, 0.25, 31, "500 requests without a complaint", requests=1_031),
        step(Phase.PROMOTING, 4, 1.0, 58, "not worse than before", requests=4_100, labels=390),
        step(Phase.PROMOTED, 4, 1.0, 60, "every step passed; not worse on 912 labels",
             requests=9_312, labels=912, findings=live, rehearsed_s=0.04),
    )  # fmt: skip
    watch = Watch(
        PASS, (Finding("accuracy", PASS, "As on the test rows.", 0.744, 0.718, n=1_000),), 1_000
    )
    return Story(
        "flights", p.REQUEST, p.CHAMPION, CANDIDATE, "auroc", admission(), plan(), training(),
        p.bundle(CANDIDATE, bundled()), validation(), votes, approval(votes), releases, watch,
        entries=entries("request admission plan training bundle validation vote approval "
                        "release release release promotion release", {}),
    )  # fmt: skip


def refused() -> Story:
    celsius = Finding(
        "slice_shift:temp", FAIL,
        "temp at origin=EWR fell by 2.4 interquartile ranges while the other airports rose by 0.1: "
        "it looks like Celsius among Fahrenheit.",
        2.4, 1.0, "IQR", p.span(2.4, 0.06), 10_471,
        "rows 14 to 29,401 with origin EWR in °F (temp * 9 / 5 + 32), as the champion learnt them",
        evidence=p.digest("rows of EWR"), picture=p.temperature(),
    )  # fmt: skip
    noise = Finding(
        "label_noise:2013-07-20", FAIL,
        "Labels of rows 17,944 to 20,015 do not fit their features: 46 % look exchanged.",
        0.46, 0.2, "fraction", p.span(0.46, 0.05), 2_072,
        "the flights of 20 to 22 July joined again by carrier, flight and day",
        picture=p.bars({"18 July": 0.04, "19 July": 0.06, "20 July": 0.44, "21 July": 0.48,
                        "22 July": 0.45, "23 July": 0.05}, 0.2, "fraction"),
    )  # fmt: skip
    broken = Finding(
        "joint", Verdict.ERROR, "The domain classifier met too few rows of LGA to be measured.",
        enforced=False, passes_if="at least 500 rows of each origin", n=112,
    )  # fmt: skip
    seen = admission()
    findings = (*seen.findings, celsius, noise, broken)
    record = replace(
        seen,
        verdict=FAIL,
        findings=findings,
        split=None,
        quarantined=12_543,
        cleaning=(),
        rows=29_425,
    )
    request = replace(
        p.REQUEST, update="u-20251201-0002", reason="the flights of July",
        fresh=p.snapshot("2013-07-as-delivered.parquet", 29_425, "2013-07-01", "2013-07-31"),
    )  # fmt: skip
    told = entries("request admission", {"admission": FAIL})
    return Story("flights", request, p.CHAMPION, metric="auroc", admission=record, entries=told)


def rolled_back() -> Story:
    suspicious = Finding(
        "suspicious_gain", UNSURE,
        "A gain of 0.182 in auroc is too good to be true; without dep_delay it is gone.",
        0.182, 0.1, "", p.span(0.182, 0.011), 4_136,
        "a reason why dep_delay is known at the time of the request, or the update without it",
        picture=p.bars({"dep_delay": 0.197, "hour": 0.031, "carrier": 0.012, "temp": 0.006}, 0.25),
    )  # fmt: skip
    sliced = Finding(
        "slices:carrier", UNSURE, "HA has 41 rows: too few to be judged.", -0.09, -0.03, "",
        p.span(-0.09, 0.12), 41, "about 160 more labelled flights of HA",
        Comparison.CANNOT_TELL, 160, enforced=False, picture=p.carriers(-0.09),
    )  # fmt: skip
    judged = validation()
    judged = replace(
        judged, verdict=UNSURE, candidate={**judged.candidate, "auroc": 0.9232},
        findings=(suspicious, sliced, metric("auroc", 0.182, 0.011, Comparison.BETTER),
                  *judged.findings[2:]),
    )  # fmt: skip
    votes = (
        vote(
            VoteKind.OVERRIDE,
            "ben",
            12,
            "operations says dep_delay is on the feed",
            "suspicious_gain",
        ),
        vote(VoteKind.OVERRIDE, "cleo", 15, "agreed, watch the canary", "suspicious_gain"),
        vote(VoteKind.APPROVE, "ben", 16),
    )
    worse = (
        quality(-0.061, 0.02, FAIL, 486),
        Finding("errors", PASS, "No answer failed.", 0.0, 0.02, "fraction", n=1_204),
        Finding("p99", PASS, "Answers are quick.", 7.9, 200.0, "ms", n=1_204),
    )
    releases = (
        step(Phase.STEP, 1, 0.05, 0, "the way back was rehearsed", rehearsed_s=0.05),
        step(Phase.STEP, 2, 0.25, 21, "no complaint, few labels yet", requests=511, labels=37),
        step(Phase.ABORTING, 2, 0.0, 44, "worse than the champion on live labels", requests=1_204,
             labels=486, verdict=FAIL, findings=worse),
        step(Phase.ROLLED_BACK, 2, 0.0, 44.2, "worse than the champion on 486 live labels: traffic "
             "went back after 1,204 requests and 44.1 s", requests=1_204, labels=486, verdict=FAIL,
             findings=worse, rehearsed_s=0.05, rollback_s=0.062),
    )  # fmt: skip
    request = replace(p.REQUEST, update="u-20251208-0003", reason="read dep_delay too",
                      features=(*p.FEATURES, "dep_delay"))  # fmt: skip
    chosen = replace(
        plan(), strategy="full", reason="a new column needs new weights from the start"
    )
    return Story(
        "flights", request, p.CHAMPION, "", "auroc", admission(), chosen,
        replace(training(), strategy="full"), p.bundle(CANDIDATE, bundled()), judged, votes,
        approval(votes), releases,
        entries=entries("request admission plan training bundle validation vote vote vote approval "
                        "release release release release", {"validation": UNSURE}),
    )  # fmt: skip


STORIES = {"good": good, "refused": refused, "rolled_back": rolled_back}
