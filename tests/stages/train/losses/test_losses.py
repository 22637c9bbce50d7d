from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn import metrics
from torch.nn import functional

from instar.core.data import TaskKind
from instar.core.errors import PolicyError, UnknownName
from instar.stages.train import losses
from instar.stages.train.losses import (
    FITTING,
    LOSSES,
    LossMissing,
    LossRaised,
    NotALoss,
    NotSmoothable,
    WrongLoss,
    choose,
)
from instar.testing.contracts.families import family_files, unknown_name

RNG = np.random.default_rng(0)
ONE, SEVERAL = RNG.normal(size=(9, 1)), RNG.normal(size=(9, 3))
YES, CLASSES = RNG.integers(0, 2, (9, 1)), RNG.integers(0, 3, 9)
VALUES = RNG.normal(size=(9, 1)) * 3


def loss(name, out, labels, **more):
    labels = torch.tensor(labels)
    labels = labels if labels.dim() == 1 else labels.double()
    return LOSSES[name](torch.tensor(out), labels, **more).item()


def test_table_holds_every_file():
    family_files(LOSSES, losses, besides={"loss", "own"})


def test_losses_name_what_they_know():
    unknown_name(LOSSES)


def test_fitting_names_every_loss():
    assert {name for names in FITTING.values() for name in names} == set(LOSSES)


def test_losses_agree_with_scipy_and_scikit_learn():
    signed = 2 * YES - 1
    assert loss("bce", ONE, YES) == pytest.approx(-log_expit(signed * ONE).mean())
    right = log_softmax(SEVERAL, axis=1)[np.arange(9), CLASSES]
    assert loss("cross_entropy", SEVERAL, CLASSES) == pytest.approx(-right.mean())
    assert loss("hinge", ONE, YES) == pytest.approx(metrics.hinge_loss(signed, ONE))
    assert loss("mse", ONE, VALUES) == pytest.approx(metrics.mean_squared_error(VALUES, ONE))
    assert loss("mae", ONE, VALUES) == pytest.approx(metrics.mean_absolute_error(VALUES, ONE))
    apart = np.abs(ONE - VALUES)
    huber = np.where(apart < 1, apart**2 / 2, apart - 0.5).mean()
    assert loss("huber", ONE, VALUES) == pytest.approx(huber)


def test_hinge_over_classes_sums_the_margins_that_are_missed():
    wanted = [
        sum(max(0, 1 - row[y] + row[j]) for j in range(3) if j != y) / 3
        for row, y in zip(SEVERAL, CLASSES, strict=True)
    ]
    assert loss("hinge", SEVERAL, CLASSES) == pytest.approx(np.mean(wanted))


def test_focal_weighs_easy_rows_down():
    p = np.where(YES == 1, expit(ONE), expit(-ONE))
    assert loss("focal", ONE, YES) == pytest.approx((-((1 - p) ** 2) * np.log(p)).mean())
    q = softmax(SEVERAL, axis=1)[np.arange(9), CLASSES]
    assert loss("focal", SEVERAL, CLASSES) == pytest.approx((-((1 - q) ** 2) * np.log(q)).mean())
    sure = torch.tensor([[40.0]], requires_grad=True)
    LOSSES["focal"](sure, torch.ones(1, 1)).backward()
    assert sure.grad.isfinite().all()


def test_smoothed_losses_are_those_of_smoothed_labels():
    smoothing = 0.2
    soft = YES * 0.8 + 0.1
    wanted = -(soft * log_expit(ONE) + (1 - soft) * log_expit(-ONE)).mean()
    assert loss("bce", ONE, YES, smoothing=smoothing) == pytest.approx(wanted)
    hard = np.eye(3)[CLASSES] * 0.8 + 0.2 / 3
    wanted = -(hard * log_softmax(SEVERAL, axis=1)).sum(axis=1).mean()
    assert loss("cross_entropy", SEVERAL, CLASSES, smoothing=smoothing) == pytest.approx(wanted)
    chosen = choose("auto", TaskKind.MULTICLASS, smoothing=smoothing)
    assert chosen(torch.tensor(SEVERAL), torch.tensor(CLASSES)).item() == pytest.approx(wanted)


@pytest.mark.parametrize("kind", list(TaskKind))
def test_choose_takes_what_fits_the_task_and_refuses_the_rest(kind):
    assert choose("auto", kind) is LOSSES[FITTING[kind][0]]
    for name in LOSSES:
        if name in FITTING[kind]:
            assert choose(name, kind) is LOSSES[name]
        else:
            with pytest.raises(WrongLoss, match=kind.value):
                choose(name, kind)
    with pytest.raises(UnknownName, match="cross_entropy"):
        choose("crossentropy", kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auto", TaskKind.REGRESSION),
        ("huber", TaskKind.REGRESSION),
        ("hinge", TaskKind.BINARY),
        ("focal", TaskKind.MULTICLASS),
        ("mine:loss", TaskKind.BINARY),
    ],
)
def test_choose_refuses_to_smooth_where_there_is_no_form_for_it(name, kind):
    with pytest.raises(NotSmoothable, match="bce, cross_entropy") as caught:
        choose(name, kind, smoothing=0.1)
    assert isinstance(caught.value, PolicyError)
    assert "\n" not in str(caught.value)


OWN = """
import torch
WEIGHTS = torch.tensor([1.0, 2.0, 3.0])
def weighted(out, labels):
    return torch.nn.functional.cross_entropy(out, labels, WEIGHTS)
def rows(out, labels):
    return out.square()
def blind(out, labels):
    return torch.zeros(())
def number(out, labels):
    return 3.0
def raises(out, labels):
    raise RuntimeError("no")
def late(out, labels):
    if len(out) > 2:
        raise RuntimeError("too many rows")
    return out.mean()
"""


def own(folder, name, kind=TaskKind.MULTICLASS):
    (folder / "mine.py").write_text(OWN)
    return choose(name, kind, outputs=3, project=folder)


def test_choose_takes_the_users_own(tmp_path):
    out, labels = torch.tensor(SEVERAL).float(), torch.tensor(CLASSES)
    wanted = functional.cross_entropy(out, labels, torch.tensor([1.0, 2.0, 3.0]))
    assert own(tmp_path, "mine:weighted")(out, labels) == wanted


@pytest.mark.parametrize(
    ("name", "error", "needle"),
    [
        ("mine:nothing", LossMissing, "no function nothing"),
        ("yours:loss", LossMissing, "no file yours.py"),
        (":", LossMissing, "no module:function"),
        ("mine:rows", NotALoss, r"\(2, 3\) of torch.float32"),
        ("mine:blind", NotALoss, "nothing of the logits"),
        ("mine:number", NotALoss, "float"),
        ("mine:raises", LossRaised, "RuntimeError: no at mine.py line 13"),
    ],
)
def test_choose_says_what_is_wrong_with_the_users_own_in_one_line(tmp_path, name, error, needle):
    with pytest.raises(error, match=needle) as caught:
        own(tmp_path, name)
    assert "\n" not in str(caught.value)


def test_users_own_loss_that_fails_later_is_named(tmp_path):
    late = own(tmp_path, "mine:late")
    with pytest.raises(LossRaised, match=r"`mine:late` .*too many rows at mine.py line 16"):
        late(torch.zeros(3, 3), torch.zeros(3, dtype=torch.int64))


def test_choose_without_a_project_has_no_loss_of_the_users():
    with pytest.raises(LossMissing, match="no project"):
        choose("mine:loss", TaskKind.BINARY)


def test_dice_is_one_less_the_overlap_of_each_class():
    out = RNG.normal(size=(4, 3, 5, 2))
    masks = RNG.choice([0, 1, 2, 255], (4, 5, 2)).astype(np.uint8)
    chance, known = softmax(out, axis=1), masks != 255
    each = []
    for place in range(3):
        said, true = chance[:, place][known], (masks == place)[known]
        each.append(1 - (2 * (said * true).sum() + 1) / (said.sum() + true.sum() + 1))
    found = LOSSES["dice"](torch.tensor(out), torch.tensor(masks)).item()
    assert found == pytest.approx(np.mean(each))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_masks_is_that_of_their_pixels(smoothing):
    out = torch.tensor(RNG.normal(size=(4, 3, 5, 2)))
    masks = torch.tensor(RNG.choice([0, 1, 2, 255], (4, 5, 2)).astype(np.uint8))
    pixels = out.movedim(1, -1)[masks != 255]
    wanted = LOSSES["cross_entropy"](pixels, masks[masks != 255].long(), smoothing=smoothing)
    found = LOSSES["cross_entropy"](out, masks, smoothing=smoothing)
    assert found.item() == pytest.approx(wanted.item())
    assert LOSSES["cross_entropy"](out, torch.full_like(masks, 255)).item() == 0.0
