"""Each kind by itself: where pixels, masks and boxes come to lie, and what lies between rows."""

from __future__ import annotations

import math
import typing

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from instar.core.data import BOX, OBJECTS, VOID, Task, TaskKind
from instar.core.policy import AugmentRule
from instar.models.tasks import lesson_of
from instar.stages.train import augment
from instar.stages.train.augment import KINDS
from instar.stages.train.augment.crop import cut
from instar.stages.train.augment.flip import mirrored
from instar.stages.train.augment.kind import Layout, Pool
from instar.stages.train.augment.rarity import quotas
from instar.stages.train.augment.rotate import turned
from instar.stages.train.augment.scale import sized
from instar.stages.train.augment.synthesise import between, neighbours
from instar.stages.train.augment.warp import boxes, image, mask, warped
from instar.stages.train.rows import Rows
from instar.testing.contracts.families import family_files, unknown_name

TALL = (24, 16)
CLASSES = Task(TaskKind.MULTICLASS, "y", ("a", "b", "c"))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=6, size=TALL):
    return torch.rand(count, 2, *size, generator=chance(1))


def test_table_holds_every_file_and_the_policy_every_kind():
    besides = {"augmented", "fitness", "rarity", "warp"}  # the class of all is at home in `kind`
    family_files(KINDS, augment, besides=besides)
    unknown_name(KINDS)
    [choices] = (one for one in typing.get_args(typing.get_type_hints(AugmentRule)["kinds"])[:1])
    assert set(typing.get_args(choices)) == set(KINDS)
    assert all((kind.move is None) != (kind.make is None) for kind in KINDS.values())


@pytest.mark.parametrize(
    ("axis", "dims"), [("horizontal", [[3]]), ("vertical", [[2]]), ("both", [[2], [3], [2, 3]])]
)
def test_flip_mirrors_some_and_leaves_others_and_back_again(axis, dims):
    old, rule = pictures(40), AugmentRule(flip=axis)
    where = mirrored(40, TALL, rule, chance())
    new = image(old, where)
    torch.testing.assert_close(image(new, where), old)
    ways = [[], *dims]
    seen = [
        next(
            i
            for i, way in enumerate(ways)
            if torch.allclose(one, past.flip([d - 1 for d in way]), atol=1e-5)
        )
        for one, past in zip(new, old, strict=True)
    ]
    assert set(seen) == set(range(len(ways)))


@pytest.mark.parametrize("move", [turned, sized, cut])
def test_moves_by_next_to_nothing_leave_the_image(move):
    old, least = pictures(), 1e-6
    rule = AugmentRule(rotate=least, scale=least, crop=least)
    torch.testing.assert_close(image(old, move(6, TALL, rule, chance())), old, rtol=0, atol=1e-4)


def test_rotation_by_a_quarter_is_torchs_own_whatever_the_sides():
    square = torch.rand(1, 1, 9, 9, generator=chance(3))
    where = turned(400, (9, 9), AugmentRule(rotate=180), chance())
    angle = torch.atan2(where[:, 1, 0], where[:, 0, 0])
    nearest = int((angle - math.pi / 2).abs().argmin())
    exact = where[nearest].clone()
    exact[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    torch.testing.assert_close(where[nearest], exact, rtol=0, atol=0.03)
    torch.testing.assert_close(image(square, exact[None]), torch.rot90(square, 1, [2, 3]))
    # In pixels, a turn keeps distances though the sides differ.
    theta = turned(1, TALL, AugmentRule(rotate=90), chance())[0, :2, :2]
    sides = torch.diag(torch.tensor([TALL[1] / 2, TALL[0] / 2]))
    pixels = sides @ theta @ sides.inverse()
    torch.testing.assert_close(pixels @ pixels.T, torch.eye(2))


@pytest.mark.parametrize("seed", range(4))
def test_blob_and_its_mask_and_its_box_move_together(seed):
    """The blob's middle is where the matrix says: told by arithmetic, not by the library."""
    size, rule = (48, 64), AugmentRule(flip="both", rotate=25, scale=0.2, crop=0.2)
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    blob = (((rows - 20) / 4) ** 2 + ((columns - 38) / 6) ** 2 <= 1).float()
    random = chance(seed)
    where = torch.eye(3)[None]
    for move in (mirrored, turned, sized, cut):
        where = where @ move(1, size, rule, random)
    new = image(blob[None, None], where)[0, 0]
    marked = mask(blob[None].to(torch.uint8), where)[0]
    middle = torch.tensor([(38 + 0.5) / 32 - 1, (20 + 0.5) / 24 - 1, 1.0])
    wanted = (where[0].inverse() @ middle).tolist()
    for seen in (new, (marked == 1).float()):
        x, y = ((seen * part).sum() / seen.sum() for part in (columns, rows))
        assert (x + 0.5) / 32 - 1 == pytest.approx(wanted[0], abs=0.02)
        assert (y + 0.5) / 24 - 1 == pytest.approx(wanted[1], abs=0.02)
    assert marked.dtype == torch.uint8
    assert set(marked.unique().tolist()) <= {0, 1, VOID}


def test_mask_beyond_the_edge_is_void_and_the_image_goes_on():
    where = torch.eye(3)[None].clone()
    where[0, 0, 2] = 1.0  # half a width to the left
    old = torch.arange(8.0).reshape(1, 1, 1, 8)
    assert image(old, where).flatten().tolist() == [4, 5, 6, 7, 7, 7, 7, 7]
    assert mask(old[0].to(torch.uint8), where).flatten().tolist() == [4, 5, 6, 7, *[VOID] * 4]


def test_boxes_follow_are_cut_and_dropped_where_little_is_left():
    labels = torch.zeros(1, OBJECTS, BOX + 1)
    labels[0, 0] = torch.tensor([2.0, 4, 6, 12, 3])
    labels[0, 1] = torch.tensor([0.0, 0, 4, 24, 1])
    labels[0, 2] = torch.tensor([10.0, 0, 16, 6, 2])
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))[None]
    wanted = torch.tensor([[10.0, 4, 14, 12, 3], [12, 0, 16, 24, 1], [0, 0, 6, 6, 2]])
    torch.testing.assert_close(boxes(labels, mirror, TALL)[0, :3], wanted, rtol=0, atol=1e-5)
    half = torch.diag(torch.tensor([0.5, 0.5, 1.0]))[None]  # the middle, twice as large
    moved = boxes(labels, half, TALL)
    # x: (x - 4) * 2, y: (y - 6) * 2: half of the first is left, nothing of the second and third
    wanted = torch.tensor([[0.0, 0, 4, 12, 3], [0] * 5, [0] * 5])
    torch.testing.assert_close(moved[0, :3], wanted, rtol=0, atol=1e-5)
    assert not moved[0, 3:].any()


def test_boxes_hold_their_object_under_every_move_that_detection_takes():
    moves = [kind.move for kind in KINDS.values() if kind.move and TaskKind.DETECTION in kind.tasks]
    assert len(moves) == 3
    images, labels = torch.zeros(30, 1, 32, 48), torch.zeros(30, OBJECTS, BOX + 1)
    images[:, :, 10:20, 12:30] = 1
    labels[:, 0] = torch.tensor([12.0, 10, 30, 20, 1])
    pool = Pool(Rows((images,), labels), (), Layout(image=0), AugmentRule(flip="both", crop=0.4))
    made = warped(pool, moves, TaskKind.DETECTION)(torch.arange(30), chance())
    for one, label in zip(made.inputs[0], made.labels, strict=True):
        ys, xs = (one[0] > 0.5).nonzero().unbind(dim=1)
        seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert label[0].tolist() == pytest.approx([*map(float, seen), 1], abs=0.75)
    assert made.labels[:, 0].unique(dim=0).shape[0] > 20


def table(seed=0, sizes=(60, 12, 3)):
    random = chance(seed)
    labels = torch.cat([torch.full((size,), place) for place, size in enumerate(sizes)])
    numbers = torch.randn(len(labels), 5, generator=random) + 4 * labels[:, None]
    marks = torch.nn.functional.one_hot(torch.randint(3, (len(labels),), generator=random)).float()
    codes = torch.randint(4, (len(labels), 2), generator=random)
    return Rows((torch.cat([numbers, marks], dim=1), codes), labels)


def pooled(rows, rule=None, scaled=5, wanted=(0, 1, 2)):
    groups = tuple((rows.labels == place).nonzero().flatten() for place in wanted)
    return Pool(rows, groups, Layout(0, scaled, 1), rule or AugmentRule())


def test_neighbours_of_numbers_are_scikit_learns():
    rows = table()
    bare = Rows((rows.inputs[0][:, :5], torch.zeros(75, 2, dtype=torch.int64)), rows.labels)
    got = neighbours(pooled(bare, AugmentRule(neighbours=4), wanted=(0, 1)))
    for place in (0, 1):
        own = (rows.labels == place).nonzero().flatten()
        seen = bare.inputs[0][own].numpy()
        order = NearestNeighbors(n_neighbors=5).fit(seen).kneighbors(seen)[1][:, 1:]
        assert torch.equal(got[own].sort(dim=1).values, own[torch.tensor(order)].sort(dim=1).values)
    rare = (rows.labels == 2).nonzero().flatten()
    assert torch.equal(got[rare], rare[:, None].expand(-1, 4))  # no rows are made of it


@pytest.mark.parametrize("onehot", [False, True])
def test_categories_that_differ_count_as_the_median_deviation(onehot):
    numbers = torch.tensor([[0.0], [1.0], [1.2], [3.0]])
    codes = torch.tensor([[1], [2], [1], [1]])
    marks = torch.nn.functional.one_hot(codes[:, 0] - 1).float()
    inputs = (torch.cat([numbers, marks], dim=1),) if onehot else (numbers, codes)
    rows = Rows(inputs, torch.zeros(4, dtype=torch.int64))
    layout = Layout(0, 1, None if onehot else 1)
    pool = Pool(rows, (torch.arange(4),), layout, AugmentRule(neighbours=1))
    # By the number alone the first row's neighbour is the second, at 1; its category adds 1.56.
    assert float(numbers.var()) == pytest.approx(1.56)
    assert neighbours(pool).flatten().tolist() == [2, 2, 0, 2]


def test_synthesised_rows_lie_between_a_row_and_one_of_its_class():
    rows = table()
    pool = pooled(rows, AugmentRule(neighbours=3))
    places = torch.arange(75).repeat(8)
    made = between(pool)(places, chance())
    near = neighbours(pool)
    assert torch.equal(made.labels, rows.labels[places])
    for place, numbers, codes in zip(places.tolist(), *made.inputs, strict=True):
        own, found = rows.inputs[0][place], False
        for other in near[place].tolist():
            step = rows.inputs[0][other, :5] - own[:5]
            way = float(((numbers[:5] - own[:5]) @ step) / (step @ step))
            on = torch.allclose(own[:5] + way * step, numbers[:5], atol=1e-4)
            nearer = place if way < 0.5 else other
            same = torch.equal(codes, rows.inputs[1][nearer])
            same = same and torch.equal(numbers[5:], rows.inputs[0][nearer, 5:])
            found = found or (on and 0 <= way <= 1 and same)
        assert found
    assert len(made.inputs[0].unique(dim=0)) > 500


def test_class_with_one_row_gives_that_row_again():
    rows = table(sizes=(5, 1))
    made = between(pooled(rows, wanted=(1,)))(torch.tensor([5, 5]), chance())
    assert torch.equal(made.inputs[0], rows.inputs[0][[5, 5]])


@pytest.mark.parametrize("copies", [1, 4, 100])
@pytest.mark.parametrize("share", [0.1, 1.0, 9.0])
def test_rare_classes_get_more_up_to_the_commonest_and_within_the_shares(copies, share):
    sizes = [500, 120, 30, 4]
    labels = torch.cat([torch.full((size,), place) for place, size in enumerate(sizes)])
    task = Task(TaskKind.MULTICLASS, "y", tuple("abcd"))
    rule = AugmentRule(copies=copies, share=share)
    known = quotas(Rows((torch.zeros(654, 1),), labels), task, rule)
    wanted = [min(500 - size, copies * size) for size in sizes]
    part = min(1.0, share * 654 / sum(wanted))
    assert known.wanted.tolist() == pytest.approx([part * one for one in wanted], abs=0.51)
    drawn = known.drawn(int(known.wanted.sum()), chance())
    assert labels[drawn].bincount(minlength=4).tolist() == known.wanted.tolist()
    counts = drawn.bincount(minlength=654)
    for place in range(4):
        own = counts[labels == place]
        assert own.max() - own.min() <= 1  # all of a class are used up before one comes twice


def test_rarest_label_of_a_row_says_to_which_rows_it_belongs():
    lesson = lesson_of(TaskKind.MULTILABEL)
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 0, torch.nan], [0, 0, 0], [1, 0, 1]])
    assert lesson.rarest(labels).tolist() == [0, 1, 0, 3, 2]
    seen = torch.zeros(4, OBJECTS, BOX + 1)
    seen[0, 0, BOX], seen[1, 0, BOX], seen[2, :2, BOX] = 1, 1, torch.tensor([1.0, 2.0])
    assert lesson_of(TaskKind.DETECTION).rarest(seen).tolist() == [0, 0, 1, 2]
