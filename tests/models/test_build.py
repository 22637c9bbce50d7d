from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError, UnknownName
from instar.core.records import Network
from instar.models.build import (
    NetworkMissing,
    NetworkRaised,
    NotANetwork,
    WrongOption,
    WrongOutput,
    build,
    example,
)
from instar.models.project import OWN

SPEC = InputSpec(numbers=3, categories=(4,), outputs=1)
GOOD = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, numbers, width=4):
        super().__init__()
        self.body = nn.Linear(numbers, width)
        self.head = nn.Linear(width, 1)
    def forward(self, numbers, categories):
        return self.head(torch.relu(self.body(numbers)))

def build(inputs, width=4):
    return Net(inputs.numbers, width)

def without_argument():
    return Net(3)

def with_default(width=6):
    return Net(3, width)
"""


def write(folder, text, name="nets.py"):
    (folder / name).write_text(text)
    return folder


def user(function="build", **options):
    return Network(build=f"nets:{function}", options=options)


def test_build_user_function_gives_its_network(tmp_path):
    net = build(user(), SPEC, write(tmp_path, GOOD))
    assert net(*example(SPEC, 5)).shape == (5, 1)
    assert net.training


def test_build_takes_functions_without_the_spec_and_leaves_defaults_alone(tmp_path):
    write(tmp_path, GOOD)
    assert build(user("without_argument"), SPEC, tmp_path).body.out_features == 4
    assert build(user("with_default"), SPEC, tmp_path).body.out_features == 6
    assert build(user(width=9), SPEC, tmp_path).body.out_features == 9


def test_build_leaves_interpreter_as_it_was(tmp_path):
    write(tmp_path, "WIDTH = 7\n", "sizes.py")
    write(tmp_path, GOOD.replace("import torch\n", "import torch\nimport sizes\n", 1))
    before, path = set(sys.modules), list(sys.path)
    build(user(), SPEC, tmp_path)
    assert set(sys.modules) == before
    assert OWN not in sys.modules
    assert sys.path == path
    assert not list(tmp_path.rglob("nets*.pyc"))


def test_build_sees_an_edit_of_the_same_length_and_second(tmp_path):
    for width in (4, 5):
        write(tmp_path, GOOD.replace("width=4", f"width={width}"))
        assert build(user(), SPEC, tmp_path).body.out_features == width


SIBLING = """
from dataclasses import dataclass
@dataclass
class Size:
    width: 'int' = 8
"""
USES_SIBLING = """
@dataclass
class Wide(Size):
    width: int = Size().width
def build(inputs):
    return Net(inputs.numbers, Wide().width)
"""


def test_build_accepts_dataclasses_and_siblings_in_user_code(tmp_path):
    write(tmp_path, SIBLING, "sizes.py")
    head = "from __future__ import annotations\nfrom sizes import Size, dataclass\n"
    write(tmp_path, head + GOOD + USES_SIBLING)
    assert build(user(), SPEC, tmp_path).body.out_features == 8


ENDS = "return self.head(torch.relu(self.body(numbers)))"
FAULTS = [
    (
        "def build(inputs): raise ValueError('oh')",
        NetworkRaised,
        "ValueError: oh at nets.py line 1",
    ),
    ("import sys\nsys.exit(3)", NetworkRaised, "be imported"),
    ("import nothing_of_this_name", NetworkRaised, "ModuleNotFoundError"),
    ("def build(inputs): return (", NetworkRaised, "SyntaxError"),
    ("def build(inputs): return 3", NotANetwork, "got int"),
    ("def other(inputs): return 3", NetworkMissing, "no function build"),
    ("build = 3", NetworkMissing, "no function build"),
    ("def build(inputs, depth): return 3", WrongOption, "depth"),
    (GOOD + "\ndef build(inputs): return nn.Linear(3, 1)", NetworkRaised, "answer two rows"),
    (GOOD.replace("Linear(width, 1)", "Linear(width, 2)"), WrongOutput, "(2, 2)"),
    (GOOD.replace(ENDS, ENDS + ".long()"), WrongOutput, "int64"),
    (GOOD.replace(ENDS, "return {}"), WrongOutput, "dict"),
]


@pytest.mark.parametrize(("code", "error", "says"), FAULTS)
def test_build_refuses_bad_function_in_one_line(tmp_path, code, error, says):
    with pytest.raises(error, match=r"^[^\n]+$") as caught:
        build(user(), SPEC, write(tmp_path, code))
    assert says in str(caught.value)
    assert isinstance(caught.value, InputError)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["nets:build", "../nets:build", "nets", "nets:", ":build"])
def test_build_refuses_name_without_file_or_function(tmp_path, name):
    with pytest.raises(NetworkMissing):
        build(Network(build=name), SPEC, tmp_path)


def test_build_refuses_network_named_nowhere(tmp_path):
    with pytest.raises(NetworkMissing, match="neither"):
        build(Network(), SPEC, tmp_path)


def test_build_refuses_unknown_family_and_option(tmp_path):
    with pytest.raises(UnknownName, match="cnn, mlp"):
        build(Network(family="mpl"), SPEC, tmp_path)
    with pytest.raises(WrongOption, match="depth"):
        build(Network(family="mlp", options={"depth": 3}), SPEC, tmp_path)


def test_build_family_answers_in_shape_for_mixed_inputs(tmp_path):
    spec = InputSpec(numbers=2, categories=(3, 5), image=(1, 8, 8), outputs=4)
    for family in ("mlp", "cnn"):
        net = build(Network(family=family), spec, tmp_path)
        assert net(*example(spec, 3)).shape == (3, 4)


def test_build_restores_interpreter_after_a_failure(tmp_path):
    before = set(sys.modules)
    with pytest.raises(NetworkRaised):
        build(user(), SPEC, write(tmp_path, "import this_is_missing"))
    assert set(sys.modules) == before
    assert str(tmp_path) not in sys.path


def test_build_network_exports_to_onnx(tmp_path):
    net = build(user(), SPEC, write(tmp_path, GOOD)).eval()
    program = torch.export.export(
        net, example(SPEC, 4), dynamic_shapes=({0: torch.export.Dim("b")},) * 2
    )
    assert torch.equal(program.module()(*example(SPEC, 6)), net(*example(SPEC, 6)))
    assert isinstance(net, nn.Module)


def test_core_stays_light_when_models_are_not_imported():
    code = "import sys, instar.core.records; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_network_for_pixels_answers_with_one_logit_a_class_and_pixel(tmp_path):
    inputs = InputSpec(image=(1, 6, 5), outputs=3, dense=True)
    body = "from torch import nn\ndef build(inputs):\n    return nn.Conv2d(1, inputs.outputs, {})\n"
    (tmp_path / "fits.py").write_text(body.format("3, padding=1"))
    build(Network(build="fits:build"), inputs, tmp_path)
    (tmp_path / "small.py").write_text(body.format("3"))
    with pytest.raises(WrongOutput, match=r"\(2, 3, 6, 5\).*\(2, 3, 4, 3\).*Conv2d"):
        build(Network(build="small:build"), inputs, tmp_path)
