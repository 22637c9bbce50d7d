"""Every network family, with every input it accepts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from instar.bundle.session import start
from instar.core.data import InputSpec
from instar.core.errors import InstarError
from instar.core.records import Network
from instar.models import families, surgery, weights
from instar.models.build import build
from instar.models.families import NETWORKS
from instar.models.options import ImpossibleOption
from instar.stages.package.export import export
from instar.testing.contracts.families import family_files, unknown_name

SMALL = {
    "mlp": {"hidden": [6]},
    "cnn": {"channels": [3], "hidden": 6},
    "rnn": {"hidden": 6},
    "transformer": {"width": 8, "depth": 1, "heads": 2},
}
TABLE = {"numbers": 4, "categories": (3, 5)}
INPUTS = {
    "numbers": InputSpec(numbers=4, outputs=1),
    "categories": InputSpec(categories=(3, 5), outputs=3),
    "table": InputSpec(**TABLE, outputs=3),
    "image": InputSpec(image=(2, 8, 4), outputs=3),
    "image and categories": InputSpec(categories=(3, 5), image=(2, 8, 4), outputs=1),
    "all": InputSpec(**TABLE, image=(2, 8, 4), outputs=1),
}
REFUSED = {("cnn", "numbers"), ("cnn", "categories"), ("cnn", "table"), ("rnn", "categories")}
PAIRS = [(family, name) for family in NETWORKS for name in INPUTS]
TAKEN = [pair for pair in PAIRS if pair not in REFUSED]


def draw(spec, rows=5, seed=0):
    random = torch.Generator().manual_seed(seed)
    parts = [torch.randn(rows, spec.numbers, generator=random)] if spec.numbers else []
    if spec.categories:
        columns = [torch.randint(0, codes, (rows,), generator=random) for codes in spec.categories]
        parts.append(torch.stack(columns, dim=1))
    return [*parts, *([torch.randn(rows, *spec.image, generator=random)] if spec.image else [])]


def made(family, spec, tmp_path, **options):
    torch.manual_seed(0)
    network = Network(family=family, options={**SMALL[family], **options})
    return build(network, spec, tmp_path)


def test_table_holds_every_file():
    family_files(NETWORKS, families)
    unknown_name(NETWORKS)
    assert set(SMALL) == set(NETWORKS)


@pytest.mark.parametrize(("family", "name"), TAKEN)
def test_network_answers_row_by_row_and_reads_every_part(family, name, tmp_path):
    spec = INPUTS[name]
    net, parts = made(family, spec, tmp_path).eval(), draw(spec)
    out = net(*parts)
    assert out.shape == (5, spec.outputs)
    alone = torch.cat([net(*(part[i : i + 1] for part in parts)) for i in range(5)])
    torch.testing.assert_close(out, alone, atol=1e-5, rtol=1e-4)
    for place, part in enumerate(parts):
        others = list(parts)
        others[place] = part.flip(0) if part.dtype is torch.int64 else part + 1
        assert not torch.allclose(net(*others), out)


@pytest.mark.parametrize(("family", "name"), TAKEN)
def test_network_ends_in_its_head_and_learns_with_all_its_weights(family, name, tmp_path):
    spec = INPUTS[name]
    net, parts = made(family, spec, tmp_path), draw(spec, rows=40)
    assert surgery.head(net) == "head"
    assert surgery.features(net, parts).shape == (40, net.head.in_features)
    net(*parts).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    again = made(family, spec, tmp_path)
    weights.load(again, weights.save(net.state_dict()))
    assert torch.equal(again(*parts), net(*parts))


@pytest.mark.parametrize(("family", "name"), sorted(REFUSED))
def test_network_refuses_inputs_it_cannot_read_in_one_line(family, name, tmp_path):
    with pytest.raises(InstarError, match=r"wanted an image.*the family mlp") as caught:
        made(family, INPUTS[name], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "options", "needle"),
    [
        ("mlp", {"dropout": 1.0}, "dropout: a fraction in"),
        ("mlp", {"dropout": -0.1}, "dropout: a fraction in"),
        ("mlp", {"dropout": "much"}, "dropout: a fraction in"),
        ("cnn", {"dropout": True}, "dropout: a fraction in"),
        ("mlp", {"activation": "rel"}, "an activation out of|a activation out of"),
        ("cnn", {"norm": "bach"}, "batch, layer, none; got 'bach'; did you mean 'batch'"),
        ("cnn", {"initialisation": "xavir"}, "did you mean 'xavier'"),
        ("rnn", {"cell": "rnn"}, "a cell out of gru, lstm"),
        ("rnn", {"steps": 2}, "2 steps beside an image"),
        ("rnn", {"hidden": 0}, "hidden: a whole number, at least 1"),
        ("rnn", {"layers": 1.5}, "layers: a whole number, at least 1"),
        ("rnn", {"dropout": 2}, "dropout: a fraction in"),
        ("transformer", {"width": 9}, "width 9 and 2 heads"),
        ("transformer", {"patch": 3}, "image sides that are multiples of 3; got 8 x 4"),
        ("transformer", {"depth": 0}, "depth: a whole number, at least 1"),
        ("transformer", {"dropout": 1.5}, "dropout: a fraction in"),
    ],
)
def test_network_refuses_impossible_options_in_one_line(family, options, needle, tmp_path):
    with pytest.raises(InstarError, match=needle) as caught:
        made(family, INPUTS["all"], tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_rnn_divides_numbers_into_equal_steps(tmp_path):
    spec = INPUTS["numbers"]
    net = made("rnn", spec, tmp_path, steps=2, cell="gru").eval()
    (x,) = draw(spec)
    seen = nn.GRU(2, 6, batch_first=True)
    seen.load_state_dict(net.cells.state_dict())
    wanted = net.head(seen(torch.stack([x[:, :2], x[:, 2:]], dim=1))[0][:, -1])
    torch.testing.assert_close(net(x), wanted)
    for steps in (3, 8):
        with pytest.raises(InstarError, match=f"4 numbers in {steps} steps"):
            made("rnn", spec, tmp_path, steps=steps)
    with pytest.raises(ImpossibleOption):
        made("rnn", spec, tmp_path, steps=0)


def test_rnn_reads_an_image_from_the_top_down(tmp_path):
    spec = INPUTS["image"]
    net = made("rnn", spec, tmp_path).eval()
    (image,) = draw(spec)
    rows = torch.stack([image[:, :, row].flatten(1) for row in range(8)], dim=1)  # (n, 8, 2 * 4)
    torch.testing.assert_close(net(image), net.head(net.cells(rows)[0][:, -1]))


def test_attention_is_that_of_pytorch(tmp_path):
    block = made("transformer", INPUTS["numbers"], tmp_path).blocks[0].attention
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = block.asked.weight, block.asked.bias
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = block.mixed.weight, block.mixed.bias
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(block(x), theirs(x, x, x)[0], atol=1e-6, rtol=1e-5)


def test_transformer_tells_columns_apart_and_tokens_are_all_there(tmp_path):
    net = made("transformer", INPUTS["all"], tmp_path)
    parts = draw(INPUTS["all"])
    assert net.tokens(*parts).shape == (5, 1 + 4 + 2 + 2, 8)
    x, spec = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]), INPUTS["numbers"]
    first, second = made("transformer", spec, tmp_path).eval()(x)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize(("family", "option"), [("rnn", "layers"), ("transformer", "depth")])
def test_dropout_acts_only_while_training(family, option, tmp_path):
    net = made(family, INPUTS["all"], tmp_path, dropout=0.5, **{option: 2})
    parts = draw(INPUTS["all"])
    assert not torch.equal(net(*parts), net(*parts))
    net.eval()
    assert torch.equal(net(*parts), net(*parts))


@pytest.mark.parametrize(
    ("family", "name", "options"),
    [
        ("rnn", "table", {"cell": "lstm", "steps": 2}),
        ("rnn", "image and categories", {"cell": "gru", "layers": 2, "dropout": 0.1}),
        ("transformer", "all", {"dropout": 0.1}),
        ("cnn", "image", {"norm": "layer", "activation": "gelu", "dropout": 0.1}),
        ("mlp", "table", {"norm": "batch", "activation": "prelu"}),
    ],
)
def test_network_exports_with_any_number_of_rows(family, name, options, tmp_path):
    spec = INPUTS[name]
    net = made(family, spec, tmp_path, **options)
    net(*draw(spec, rows=30))  # running means of a batch norm move
    session = start(export(net, spec, 20).SerializeToString())
    names = [put.name for put in session.get_inputs()]
    net.eval()
    for rows in (1, 2, 7):
        parts = draw(spec, rows, seed=rows)
        given = {key: part.numpy() for key, part in zip(names, parts, strict=True)}
        wanted = net(*parts).detach().numpy()
        np.testing.assert_allclose(session.run(None, given)[0], wanted, atol=1e-5)
