from __future__ import annotations

import base64
import io
import json

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageColor
from sklearn.metrics import confusion_matrix

from instar.core.data import ImageColumn, Preprocessing, Task, TaskKind
from instar.stages.validate import pictures
from instar.stages.validate.evidence import Rows

PETS = Task(TaskKind.BINARY, "pet", ("cat", "dog"))


def test_roc_is_short_and_ends_at_both_corners(made):
    drawn = pictures.roc(made().fresh)
    assert [curve["name"] for curve in drawn["curves"]] == ["champion", "candidate"]
    for curve in drawn["curves"]:
        assert len(curve["fpr"]) == len(curve["tpr"]) <= pictures.POINTS
        assert (curve["fpr"][0], curve["tpr"][0]) == (0, 0)
        assert (curve["fpr"][-1], curve["tpr"][-1]) == (1, 1)
    assert len(json.dumps(drawn)) < 8000


def test_confusion_agrees_with_scikit_learn(made):
    rows = made().fresh
    drawn = pictures.confusion(rows, made().task)
    expected = confusion_matrix(rows.labels, rows.candidate.argmax(axis=1))
    assert drawn["matrices"][1]["counts"] == expected.tolist()


def test_examples_of_a_table_show_truth_answers_and_features(made):
    evidence = made()
    how = evidence.candidate.preprocessing
    drawn = pictures.examples(evidence.fresh, [3, 5], evidence.task, how)
    assert drawn["columns"] == ["true", "before", "now", "x", "y", "colour"]
    row = evidence.fresh.frame.row(5, named=True)
    assert drawn["rows"][1][3] == pytest.approx(row["x"], rel=1e-3)
    assert drawn["rows"][1][0] == row["answer"]


def test_examples_of_images_are_png_whatever_came_in():
    files = []
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.new("L", (200, 100), 128).save(file, format=kind)
        files.append(file.getvalue())
    scores = np.eye(2)[[0, 1]]
    rows = Rows(pl.DataFrame({"scan": files}), np.array([0, 1]), scores, scores[::-1])
    how = Preprocessing(image=ImageColumn("scan", 100, 200, "L", 1, 0))
    drawn = pictures.examples(rows, [0, 1], PETS, how)
    assert [item["caption"] for item in drawn["items"]] == [
        "cat: cat, now dog",
        "dog: dog, now cat",
    ]
    for item in drawn["items"]:
        shown = Image.open(io.BytesIO(base64.b64decode(item["png"])))
        assert (shown.format, shown.size) == ("PNG", (96, 48))


def test_examples_of_detections_show_true_earlier_and_present_boxes():
    file = io.BytesIO()
    Image.new("L", (48, 24), 0).save(file, format="PNG")
    labels, champion, candidate = (np.zeros((1, 100, width)) for width in (5, 6, 6))
    labels[0, 0] = [2, 2, 10, 12, 1]
    champion[0, 0] = [16, 4, 26, 20, 1, 0.9]
    candidate[0, :2] = [[30, 4, 40, 20, 2, 0.6], [1, 1, 46, 22, 1, 0.4]]  # the second is not given
    rows = Rows(pl.DataFrame({"scan": [file.getvalue()]}), labels, champion, candidate)
    task = Task(TaskKind.DETECTION, "pets", ("cat", "dog"))
    how = Preprocessing(image=ImageColumn("scan", 24, 48, "L", 1, 0))
    [item] = pictures.examples(rows, [0], task, how)["items"]
    assert item["caption"] == "1 cat: 1 cat, now 1 dog"
    shown = Image.open(io.BytesIO(base64.b64decode(item["png"])))
    assert shown.size == (96, 48)
    drawn = [(4, 4), (32, 8), (60, 8), (2, 2)]
    colours = [ImageColor.getrgb(colour) for colour in pictures.COLOURS]
    assert [shown.getpixel(place) for place in drawn] == [*colours, (0, 0, 0)]


def test_table_rounds_floats_to_four_digits():
    assert pictures.table(["a"], [[0.123456], [12], ["b"], [None]])["rows"] == [
        [0.1235],
        [12],
        ["b"],
        [None],
    ]
