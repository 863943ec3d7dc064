"""The files in `deploy/` name settings, commands and metrics that exist, and are what their own tools take.

Helm's library, promtool and validators of Compose files and of Kubernetes' resources judge them where they are
installed, as in CI.
"""

import json
import re
import shutil
import subprocess
from dataclasses import fields

import pytest
import typer
import yaml

from gemvec.cli.app import app
from gemvec.settings import Settings, variable_name
from pages import ROOT

DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
STARTING = [DEPLOY / name for name in ("Containerfile", "gemvec.service")]
SETTING = [*STARTING, DEPLOY / "compose.yaml", DEPLOY / "helm" / "values.yaml"]
VARIABLES = {variable_name(each.name) for each in fields(Settings)}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
VALUES = DEPLOY / "helm" / "values.yaml"
TEMPLATES = sorted((DEPLOY / "helm" / "templates").iterdir())
DASHBOARD = json.loads((DEPLOY / "dashboard.json").read_text())
# `test_metrics.py` compares this table with what /metrics answers.
METRICS = set(re.findall(r"^\| `(gemvec_\w+)` \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE))
GIVEN = ["image=gemvec:1", "settings.GEMVEC_STORAGE=s3://bucket/gemvec"]
EVERYTHING = ["autoscaling.enabled=true", "weights.enabled=true", "weights.storageClass=nfs", "podAnnotations.a=b"]


def name_of(file):
    return str(file.relative_to(DEPLOY))


def found(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_variable_is_a_setting(file):
    named = set(re.findall(r"\bGEMVEC_\w+", file.read_text()))
    assert named or file not in SETTING
    assert named <= VARIABLES


@pytest.mark.parametrize("file", STARTING, ids=name_of)
def test_every_command_is_one_the_command_line_reads(file):
    root, text = typer.main.get_command(app), file.read_text()
    lines = re.findall(r"^(?:RUN |ExecStart=/opt/gemvec/bin/)gemvec (.+)$", text, re.MULTILINE)
    lines += re.findall(r'^CMD \["gemvec", "(\w+)"\]$', text, re.MULTILINE)
    assert "serve" in lines
    for line in lines:
        command, words = root, line.split()
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context("gemvec", words)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_flag_is_a_setting(file):
    flags = set(re.findall(r"(?<=[\s`])--[a-z][a-z-]+", file.read_text()))
    others = {"--build", "--build-arg", "--scale", "--from-literal", "--set", "--no-create-home", "--uid", "--yes"}
    others |= {"--mount", "--interval", "--timeout", "--start-period"}
    assert {"GEMVEC_" + flag[2:].replace("-", "_").upper() for flag in flags - others} <= VARIABLES


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json", "helm/templates/scaling.yaml"])
def test_every_metric_is_one_that_is_answered(name):
    named = set(re.findall(r"\bgemvec_\w+", (DEPLOY / name).read_text()))
    assert named
    assert {re.sub("_bucket$", "", each) for each in named} <= METRICS


def test_what_services_use_is_declared():
    services = COMPOSE["services"]
    used = {"configs": set(), "secrets": set(), "volumes": set()}
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        used["configs"] |= {each["source"] for each in service.get("configs", ())}
        used["secrets"] |= set(service.get("secrets", ()))
        sources = [each.split(":")[0] for each in service.get("volumes", ())]
        used["volumes"] |= {each for each in sources if not each.startswith(".")}
        assert all((DEPLOY / each).is_file() for each in sources if each.startswith("."))
    assert used == {kind: set(COMPOSE[kind]) for kind in used}
    assert all(yaml.safe_load(COMPOSE["configs"][name]["content"]) for name in COMPOSE["configs"] if name != "haproxy")


def test_the_compose_file_is_one_that_compose_reads():
    compose_spec = pytest.importorskip("compose_spec", reason="compose-spec is not installed")
    compose_spec.PyCompose.from_yaml((DEPLOY / "compose.yaml").read_text())


def test_haproxy_takes_its_configuration(tmp_path):
    (tmp_path / "haproxy.cfg").write_text(COMPOSE["configs"]["haproxy"]["content"])
    run(found("haproxy"), "-c", "-f", str(tmp_path / "haproxy.cfg"))


def test_prometheus_takes_the_rules():
    run(found("promtool"), "check", "rules", str(DEPLOY / "alerts.yml"))
    run(found("promtool"), "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml"))


def test_every_alert_says_what_is_wrong_in_a_sentence():
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    assert all(rule["annotations"]["summary"].endswith(".") for rule in group["rules"])


def test_panels_have_places_of_their_own_and_ask_the_source_that_is_there():
    panels = DASHBOARD["panels"]
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels]
    assert len({each["id"] for each in panels}) == len(set(places)) == len(panels)
    sources = yaml.safe_load(COMPOSE["configs"]["grafana-source"]["content"])["datasources"]
    assert {each["datasource"]["uid"] for each in panels} == {each["uid"] for each in sources}


def paths(values, above=""):
    for name, value in values.items():
        path = f"{above}.{name}"
        is_one = not isinstance(value, dict) or not value or path in {".settings", ".resources"}
        yield from [path] if is_one else paths(value, path)


def test_every_value_of_the_chart_is_used_and_every_value_used_is_there():
    there = set(paths(yaml.safe_load(VALUES.read_text())))
    text = "".join(each.read_text() for each in TEMPLATES)
    used = set(re.findall(r"\.Values((?:\.[a-z]\w*)+)", text))
    assert there == used


def test_every_value_of_the_chart_is_documented():
    lines = VALUES.read_text().splitlines()
    undocumented = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r" *\w+:", line) and not before.strip().startswith("#")
    ]
    # What switches a group on is documented with the group, and these with the line above them.
    assert {line.split(":")[0].strip() for line in undocumented} == {"enabled", "maxReplicas", "requests", "limits"}


def render(values):
    """Return the resources that the chart makes with these values, as Helm's own library makes them."""
    helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")
    with helm.Chart.load(str(VALUES.parent)) as chart:
        files = chart.render(values=helm.parse_set_string(",".join(values)))
    return [each for text in files.values() for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("values", [GIVEN, GIVEN + EVERYTHING], ids=["least", "everything"])
def test_the_chart_makes_resources_of_kubernetes(values):
    resources = render(values)
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for each in resources:
        kubernetes_validate.validate(each, "1.31", strict=True)
    kinds = {"Deployment", "Service", "PodDisruptionBudget"}
    kinds |= {"HorizontalPodAutoscaler", "PersistentVolumeClaim"} if values != GIVEN else set()
    assert {each["kind"] for each in resources} == kinds


def test_helm_finds_no_fault_in_the_chart():
    helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")
    assert helm.lint(str(VALUES.parent), helm.parse_set_string(",".join(GIVEN)), strict=True)["errors"] == []


def test_the_chart_refuses_to_guess_the_store():
    helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")
    with pytest.raises(helm.HelmRenderError, match=r"settings\.GEMVEC_STORAGE"):
        render(GIVEN[:1])
