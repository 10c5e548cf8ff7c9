"""Whose registry a host is."""

from __future__ import annotations

import pytest

from regkit.errors import Refused, UsageError
from regkit.protocol.auth import Challenge
from regkit.vendors.capability import ACR, DISTRIBUTION, ECR, GAR, HARBOR, TABLE
from regkit.vendors.find import by_challenges, by_host, named, vendor_of


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("docker.io", "dockerhub"),
        ("ghcr.io", "ghcr"),
        ("GHCR.io:443", "ghcr"),
        ("registry.gitlab.com", "gitlab"),
        ("quay.io", "quay"),
        ("demo.goharbor.io", "harbor"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("public.ecr.aws", "ecr"),
        ("europe-docker.pkg.dev", "gar"),
        ("eu.gcr.io", "gar"),
        ("gcr.io", "gar"),
        ("me.azurecr.io", "acr"),
    ],
)
def test_by_its_name(host: str, name: str) -> None:
    found = by_host(host)
    assert found is not None
    assert found.name == name
    assert named(name) is found


@pytest.mark.parametrize(
    "host", ["reg.test", "docker.io.evil.test", "evilghcr.io", "127.0.0.1:5000", "azurecr.io", "[::1]"]
)
def test_other_names(host: str) -> None:
    """A name that only looks like a vendor's is nobody's: it gets no login of theirs."""
    assert by_host(host) is None


def test_by_its_challenge() -> None:
    """Harbor names its token service's audience; others don't."""
    assert by_challenges([Challenge("bearer", {"service": "harbor-registry"})]) is HARBOR
    assert by_challenges([Challenge("bearer", {"service": "registry"}), Challenge("basic", {})]) is None


def test_an_unknown_vendor() -> None:
    with pytest.raises(UsageError, match="no such vendor: 'nexus'") as caught:
        named("nexus")
    assert all(row.name in str(caught.value.hint) for row in TABLE)


@pytest.mark.parametrize("row", [ECR, GAR, ACR, DISTRIBUTION])
def test_registries_without_an_api_for_us(row: object) -> None:
    """What is unsafe there is said, with what to do instead."""
    with pytest.raises(Refused) as caught:
        vendor_of(row)  # type: ignore[arg-type]
    assert bool(caught.value.hint) == (row is not DISTRIBUTION)


def test_each_call_has_a_vendor_of_its_own() -> None:
    """What one remembers of a registry is no news for another."""
    for row in TABLE:
        if row.has_api:
            assert vendor_of(row) is not vendor_of(row)
            assert vendor_of(row).capabilities is row
