"""The counts that pages of networks show are those of the networks."""

import json

import pytest

from kmodels import site
from kmodels.__main__ import run_command
from kmodels.models import MODELS, build, count_macs
from kmodels.models.descriptions import DESCRIPTIONS
from kmodels.models.outline import outline, stages
from kmodels.recipes import LENET_A
from kmodels.site.networks import networks, trained_network
from tests.network_sizes import CHEAP, PARAMETERS
from tests.page_reader import Page
from tests.simulated_site import SCRIPTS, read_page
from tests.simulated_site import build as build_site

STALE = "stale: python -m kmodels models --json kmodels/site/networks.json"
FOUND = {network.name: network for network in networks()}


def test_every_network_is_there_with_its_golden_size():
    assert list(FOUND) == list(MODELS), STALE
    assert set(DESCRIPTIONS) == set(MODELS)
    for name, network in FOUND.items():
        assert (network.trainable, network.statistics) == PARAMETERS[name], STALE
        assert (network.about, network.source, network.input_shape, network.num_classes) == (
            DESCRIPTIONS[name],
            MODELS[name].source,
            MODELS[name].input_shape,
            MODELS[name].num_classes,
        ), STALE
        assert sum(stage["parameters"] for stage in network.stages) == sum(PARAMETERS[name]), STALE
        assert sum(stage["macs"] for stage in network.stages) == network.macs, STALE


def same_as_kept(name, tmp_path):
    assert run_command(["models", name, "--json", str(tmp_path / "networks.json")]) == 0
    (entry,) = json.loads((tmp_path / "networks.json").read_text())
    kept = FOUND[name]
    assert {key: getattr(kept, key) for key in entry} == {
        **entry,
        "input_shape": tuple(entry["input_shape"]),
        "stages": tuple(entry["stages"]),
    }, STALE


@pytest.mark.parametrize("name", CHEAP)
def test_what_is_kept_is_what_the_network_is(name, tmp_path):
    same_as_kept(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in CHEAP])
def test_what_is_kept_is_what_every_network_is(name, tmp_path):
    same_as_kept(name, tmp_path)


def test_stages_follow_an_image_through_the_network():
    model = build("lenet")
    found = stages(model)
    assert [stage["output"] for stage in found] == ["32x32", "16x16", "12x12", "6x6", "vector"]
    assert sum(stage["macs"] for stage in found) == count_macs(model)
    assert found[-1]["layers"]["Dense"] == 3
    assert outline("resnet20")["stages"][0]["channels"] == [16, 16]


def test_a_page_a_network_with_its_numbers_as_text(tmp_path):
    site.build_site(tmp_path / "site", scripts=(), results=tmp_path, runs=())
    for name, network in FOUND.items():
        words = Page((tmp_path / "site" / "models" / f"{name}.html").read_text(encoding="utf-8")).words
        assert f"{network.trainable:,}" in words and f"{network.macs:,}" in words and network.input in words
        assert network.source in words and network.about in words


def uses(folder, name):
    """The table of where a network is trained: rows of (rows, cell, changed, experiment) or without `changed`."""
    rows = [row for row in read_page(folder, f"models/{name}.html").rows if len(row) in (3, 4)][1:]
    return [[row[0], row[1].removesuffix(" (added)"), *row[2:]] for row in rows]


@pytest.fixture(scope="module")
def declared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("declared") / "site"
    build_site(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("alexnet_bn", "with"),
        ("resnet18_e_large_stem", "7x7, stride 2"),
        ("resnet18_e_no_stem_bn", "without"),
        ("resnet26_e", "26 layers"),
        ("resnet34_e", "34 layers, as the listing builds of 3-3-3-3"),
    ],
)
def test_a_network_is_found_where_its_arguments_are_given_to_another_name(declared, name, cell):
    assert cell in {row[1] for row in uses(declared, name)}
    assert "In no experiment" not in read_page(declared, f"models/{name}.html").words
    other = "alexnet" if name == "alexnet_bn" else "resnet18_e"
    assert (cell, "–") not in {(row[1], row[2]) for row in uses(declared, other)}


def test_what_a_cell_changes_of_the_network_is_said(declared):
    changed = {row[1]: row[2] for row in uses(declared, "lenet")}
    assert changed["dropout=0.5"] == "dropout=0.5" and changed["dropout=0.0"] == "–"
    assert {row[1]: row[2] for row in uses(declared, "alexnet_bn")}["with"] == "dropout=0.0"
    assert "Net, 20 epochs" in {row[1] for row in uses(declared, "plain_net")}


def test_every_cell_stands_with_exactly_one_network(declared):
    cells = sum(len(experiment.all_cells()) for script in SCRIPTS for experiment in script.experiments)
    assert sum(len(uses(declared, name)) for name in FOUND) == cells


def test_arguments_compare_as_they_are_built():
    known = networks()
    recipe = LENET_A.change(model="densenet121", model_args={"blocks": (16, 16, 16), "growth": 12, "stem_filters": 24})
    assert trained_network(recipe, known) == (FOUND["densenet_bc_100_12"], {})
    lrn = LENET_A.change(model="vgg11_lrn", model_args={"normalize": True})
    assert trained_network(lrn, known) == (FOUND["vgg11_lrn"], {"normalize": True})


def test_of_two_networks_as_near_the_one_that_is_named_is_trained():
    recipe = LENET_A.change(model="vgg11_lrn", model_args={"normalize": True})
    network, changed = trained_network(recipe, networks())
    assert (network.name, changed) == ("vgg11_lrn", {"normalize": True})


def test_a_network_that_is_not_yet_listed_has_no_page_and_stops_nothing(tmp_path, monkeypatch):
    known = tuple(network for network in networks() if network.name != "lenet")
    assert trained_network(LENET_A, known) is None
    monkeypatch.setattr("kmodels.site.build.networks", lambda: known)
    build_site(tmp_path / "site")
    page = read_page(tmp_path / "site", "experiments/ablation_dropout.html")
    assert "lenet" in page.words
