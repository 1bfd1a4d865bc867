"""`python -m kmodels`: its table, its summaries, its predictions, and one line for what is wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmodels.__main__ import cited, run_command
from kmodels.models import MODELS, build, count_macs, size_of, with_normalization
from kmodels.models.initial_weights import initialize
from tests.network_sizes import PARAMETERS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def call(capsys, monkeypatch):
    """Runs a command at 80 columns; returns its status, the lines it printed, and what it complained of."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*argv):
        status = run_command([str(word) for word in argv])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return run


@pytest.fixture(scope="module")
def sizes():
    return {name: size_of(name) for name in MODELS}


def test_sizes_without_weights_are_the_golden_ones(sizes):
    assert {name: (size.trainable, size.statistics) for name, size in sizes.items()} == PARAMETERS
    assert {name: size.input_shape for name, size in sizes.items()} == {n: MODELS[n].input_shape for n in MODELS}


@pytest.mark.parametrize("name", ["lenet", "densenet_d", "se_resnet14_d", "resnet18_a"])
def test_cost_without_weights_is_that_of_the_built_network(sizes, name):
    assert sizes[name].macs == count_macs(build(name))


def test_sizes_are_those_of_the_arguments_given():
    size, model = size_of("vgg11", (64, 32, 1), 7), build("vgg11", (64, 32, 1), 7)
    assert (size.trainable, size.macs) == (model.count_params(), count_macs(model))
    assert size.input_shape == (64, 32, 1)
    with pytest.raises(ValueError, match="dropout: expected"):
        size_of("lenet", dropout=2.0)


def test_the_page_on_models_says_what_the_code_says(sizes):
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\d,.]+) \| ([\dx]+) \| ([^|]+) \|$", page, re.MULTILINE)
    assert [row[0] for row in rows] == list(MODELS)
    for name, parameters, megamacs, shape, source in rows:
        size = sizes[name]
        assert parameters == f"{size.trainable:,}", name
        assert megamacs == f"{size.macs / 1e6:,.1f}", name
        assert shape == "x".join(map(str, size.input_shape)), name
        assert source == cited(MODELS[name].source)


def test_the_table_fits_and_counts(call):
    status, lines, wrong = call("models", "lenet", "vgg11", "resnet152_a", "resnet18_e_no_stem_bn")
    assert (status, wrong) == (0, "")
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["name", "parameters", "MACs", "input", "source"]
    assert "lenet                       83,126    886 k    32x32x3  A-1.1, A-1.2, A-3.1," in lines  # and more below
    assert "resnet152_a             58,164,298   11.3 G  224x224x3  A, table of ResNets" in lines
    assert "B, configuration A; Simonyan & Zisserman 2015" in " ".join(" ".join(lines).split())


def test_the_table_has_every_network(call, sizes, monkeypatch):
    monkeypatch.setattr("kmodels.models.size_of", sizes.get)
    _, lines, _ = call("models")
    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == list(MODELS)
    assert all(len(line) <= 80 for line in lines)
    assert not any("Networks" in line or "networks" in line for line in lines)  # a paper's title is for the summary


def test_a_summary_says_source_counts_and_layers(call):
    status, lines, _ = call("summary", "se_resnet14_d")
    assert status == 0
    assert lines[0] == "se_resnet14_d: D-4, D-5"
    assert lines[1] == "176,840 trainable parameters, 1,120 running statistics"
    assert any("logits (Dense)" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model = build("plain_net")
    initialize(model, seed=0)
    model.save(folder / "float.keras")
    with_normalization(model, [0.5] * 3, [0.25] * 3).save(folder / "raw.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    for name, image in zip(("a.png", "b.webp"), pixels, strict=True):
        Image.fromarray(image).save(folder / name, lossless=True)
    return folder


def test_predictions_are_a_line_a_picture_most_probable_first(call, saved):
    status, lines, _ = call(
        "predict", saved / "raw.keras", saved / "a.png", saved / "b.webp", "--dataset", "cifar10", "--top", 10
    )
    assert status == 0
    assert [line.split(": ")[0] for line in lines] == [str(saved / "a.png"), str(saved / "b.webp")]
    for line in lines:
        shares = [float(share) for share in re.findall(r"([\d.]+)%", line)]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.6)
        assert len(re.findall("airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck", line)) >= 10


def test_a_network_of_floats_is_given_its_constants(call, saved):
    constants = ("--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
    _, with_constants, _ = call("predict", saved / "float.keras", saved / "a.png", *constants)
    _, inside, _ = call("predict", saved / "raw.keras", saved / "a.png")
    assert with_constants == inside
    assert re.fullmatch(r".*a\.png: class \d [\d.]+%, class \d [\d.]+%, class \d [\d.]+%", inside[0])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("train",), "invalid choice: 'train'"),
        (("models", "resnet19"), "argument NAME: expected one out of `python -m kmodels models`. Received: 'resnet19'"),
        (("summary", "resnet19"), "argument NAME: expected one out of"),
        (("predict", "none.keras", "a.png"), "model: expected a path to a .keras file. Received: model='none.keras'"),
        (("predict", "{}/raw.keras", "none.png"), "image: expected a path to a file. Received: image='none.png'"),
        (("predict", "{}/raw.keras", "{}/raw.keras"), "image: expected a PNG, JPEG or WebP file"),
        (("predict", "{}/float.keras", "{}/a.png"), "mean: expected 3 numbers for a model that takes floating point"),
        (("predict", "{}/raw.keras", "{}/a.png", "--dataset", "x"), "class_names: expected class names, or a data set"),
        (("predict", "{}/raw.keras", "{}/a.png", "--top", "0"), "argument --top: expected 1 or more. Received: 0"),
        (("predict", "{}/raw.keras", "{}/a.png", "--mean", "a"), "argument --mean: expected numbers with commas"),
        (("predict", "{}/raw.keras"), "the following arguments are required: IMAGE"),
    ],
)
def test_a_wrong_value_costs_one_line(call, saved, argv, message):
    status, lines, wrong = call(*(word.replace("{}", str(saved)) for word in argv))
    assert (status, lines) == (2, [])
    assert message in wrong
    assert wrong.count("\n") == 1


def run(*argv, **changes):
    command = [sys.executable, "-m", "kmodels", *argv]
    environment = {**os.environ, "COLUMNS": "80", **changes}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_help_needs_no_keras():
    code = "import sys; from kmodels.__main__ import run_command\ntry: run_command(sys.argv[1:])\nfinally: print({mod})"
    code = code.format(mod="sorted({'keras', 'torch', 'numpy', 'PIL'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(len(line) <= 80 for line in run("predict", "--help").stdout.splitlines())


def test_an_unknown_backend_is_one_line():
    done = run("models", KERAS_BACKEND="theano")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kmodels: KERAS_BACKEND: expected one of torch, jax, tensorflow. Received: 'theano'\n"


def test_a_reader_that_leaves_early_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "kmodels", "models", "lenet", "plain_net", "convnet", "resnet20"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    _, wrong = process.communicate()
    assert (process.returncode, wrong) == (0, "")
