from __future__ import annotations

import math

import pytest

from instar.models import recipes

CHAMPION = {"lr": 1e-3, "batch": 64, "epochs": 12}


@pytest.mark.parametrize(
    ("fresh", "old"), [(61, 12_096), (3_072, 12_096), (20_000, 100_000), (5_000, 400)]
)
def test_incremental_stays_under_a_quarter_of_a_retrain(fresh, old):
    recipe = recipes.incremental(CHAMPION, fresh, old)
    retrain = recipes.full(CHAMPION, fresh + old).passes(fresh + old)
    assert recipe.epochs == 1 or recipe.passes(fresh) <= 0.25 * retrain


def test_incremental_batch_and_rate_follow_the_rows():
    few, many = (recipes.incremental(CHAMPION, n, 10 * n) for n in (160, 50_000))
    assert (few.batch, many.batch) == (20, 512)
    assert many.lr == pytest.approx(0.5e-3 * math.sqrt(512 / 64))


def test_full_takes_larger_batches_for_more_rows_and_has_defaults_without_a_recipe():
    assert recipes.full(CHAMPION, 1_000) == recipes.Recipe(1e-3, 64, 12)
    large = recipes.full({}, 1_000_000)
    assert (large.batch, large.epochs) == (512, 12)
    assert large.lr == pytest.approx(1e-3 * math.sqrt(8))
    assert recipes.Recipe(1e-3, 64, 2).steps(65) == 4


def test_warm_makes_more_steps_where_images_are_read():
    tables, images = (recipes.warm(CHAMPION, 12_800, image=image) for image in (False, True))
    assert (tables.batch, images.batch) == (320, 200)
    assert images.lr < tables.lr
