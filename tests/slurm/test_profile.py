"""What the profile of clusters asks for; no cluster is needed."""

import re

import yaml

from tests.made_project import copy_of
from tests.project import ROOT
from tests.slurm.conftest import ON_CLUSTER


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text())


def test_profile_of_clusters_stands_in_for_the_default_one():
    assert profile("default").items() <= profile("slurm").items()


def test_networks_ask_for_a_gpu_and_closed_forms_do_not(light):
    plan = light.snakemake("-n", "all", *ON_CLUSTER[:2])
    assert plan.returncode == 0, plan.stdout
    asked = dict(re.findall(r"method=(\w+)\n\s+resources: [^\n]*\bgpu=(\d)", plan.stdout))
    assert asked == {"random": "0", "cca": "0", "corr_ae": "1"}


def test_nothing_is_made_again_on_a_cluster_or_when_estimates_change(undisturbed_light, tmp_path):
    project = copy_of(undisturbed_light, tmp_path)
    file = project.root / "workflow/rules/training.smk"
    rules = file.read_text()
    file.write_text(rules.replace("memory(4000", "memory(5000").replace("minutes(240", "minutes(300"))
    assert file.read_text() != rules
    assert not project.planned("all")
    assert not project.planned("all", *ON_CLUSTER)
