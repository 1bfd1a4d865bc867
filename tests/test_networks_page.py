"""The counts that pages of networks show are those of the networks."""

import json

import pytest

from kmodels import site
from kmodels.__main__ import run_command
from kmodels.models import MODELS, build, count_macs
from kmodels.models.outline import outline, stages
from kmodels.site.networks import networks
from tests.network_sizes import CHEAP, PARAMETERS
from tests.page_reader import Page

STALE = "stale: python -m kmodels models --json kmodels/site/networks.json"
FOUND = {network.name: network for network in networks()}


def test_every_network_is_there_with_its_golden_size():
    assert list(FOUND) == list(MODELS), STALE
    for name, network in FOUND.items():
        assert (network.trainable, network.statistics) == PARAMETERS[name], STALE
        assert (network.source, network.input_shape, network.num_classes) == (
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
        assert network.source in words
