"""Which logins a builder gets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from regkit.build.means import Means
from regkit.build.spec import BuildSpec, build_spec
from regkit.config.spec import Config, RegistryConfig
from regkit.errors import UsageError
from regkit.oci.platform import Platform
from regkit.ops.building import logins_for
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session

HOSTS = ("docker.io", "ghcr.io", "quay.io", "mirror.test", "cache.test", "other.test")
LOGINS = Credentials({host: Login(host, "secret") for host in HOSTS})


def spec(directory: Path, dockerfile: str, *attests: str, caches: tuple[str, ...] = ()) -> BuildSpec:
    (directory / "Dockerfile").write_text(dockerfile)
    means = Means.read({}, cache_to=caches)
    return build_spec(
        directory, None, (Platform("linux", "amd64"),), attests=tuple((each, ()) for each in attests), means=means
    )


@pytest.mark.parametrize(
    ("dockerfile", "attests", "caches", "hosts"),
    [
        ("FROM scratch\n", (), (), set()),
        ("FROM busybox\n", (), (), {"docker.io"}),
        ("# syntax=ghcr.io/a/b\nFROM scratch\nCOPY --from=quay.io/c/d /x /x\n", (), (), {"ghcr.io", "quay.io"}),
        ("ARG FROM=quay.io/c/d\nFROM $FROM\n", (), (), {"quay.io"}),
        ("FROM unknown.test/x\n", (), (), set()),
        ("FROM scratch\n", ("provenance",), (), set()),
        ("FROM scratch\n", ("sbom",), (), {"docker.io"}),
        ("FROM scratch\n", (), ("type=registry,ref=cache.test/a",), {"cache.test"}),
        ("FROM mirrored.test/x\n", (), (), {"mirror.test"}),
    ],
)
def test_only_those_of_what_is_read(
    tmp_path: Path, dockerfile: str, attests: tuple[str, ...], caches: tuple[str, ...], hosts: set[str]
) -> None:
    """Base images, the frontend, the generator of SBOMs, caches, and mirrors of these."""
    registries = {"mirrored.test": RegistryConfig("mirrored.test", mirrors=("mirror.test/hub",))}
    with Session(LOGINS, registries=registries) as session:
        found = logins_for(session, spec(tmp_path, dockerfile, *attests, caches=caches))

    assert found == {host: Login(host, "secret") for host in hosts}


def test_the_repositorys_own_login_and_no_helper_that_is_not_needed(tmp_path: Path) -> None:
    """As for a pull; a helper that isn't there is in nobody's way, unless its host is read."""
    auths = {"ghcr.io": {"username": "all", "password": "x"}, "ghcr.io/owner": {"username": "own", "password": "y"}}
    document = {"auths": auths, "credHelpers": {"other.test": "missing"}}
    env = {"DOCKER_AUTH_CONFIG": json.dumps(document), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with Session(Credentials.load(env)) as session:
        found = logins_for(session, spec(tmp_path, "FROM ghcr.io/owner/base:1\n"))
        assert [login.username for login in found.values()] == ["own"]
        found = logins_for(session, spec(tmp_path, "FROM ghcr.io/owner/base:1\nFROM ghcr.io/other/base:1\n"))
        assert [login.username for login in found.values()] == ["all"]
        with pytest.raises(UsageError, match="docker-credential-missing"):
            logins_for(session, spec(tmp_path, "FROM other.test/base:1\n"))


def test_an_image_without_a_login_takes_none_away(tmp_path: Path) -> None:
    """One that anybody may read, beside one on the same host that a key with a path is for."""
    auths = {"ghcr.io/owner": {"username": "own", "password": "y"}}
    env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": auths}), "HOME": str(tmp_path)}
    with Session(Credentials.load(env)) as session:
        found = logins_for(session, spec(tmp_path, "FROM ghcr.io/owner/base:1\nFROM ghcr.io/other/base:1\n"))
    assert {host: login.username for host, login in found.items()} == {"ghcr.io": "own"}


def test_none_goes_in_the_clear_because_of_a_file_that_nobody_named(tmp_path: Path) -> None:
    """The builder would send it, as it is told of the registries."""
    registries = {"ghcr.io": RegistryConfig("ghcr.io", plain_http=True)}
    found = Config(tmp_path / "regkit.toml", registries=registries)
    with Session(LOGINS, registries=registries, found=found) as session:
        assert logins_for(session, spec(tmp_path, "FROM busybox\n")).keys() == {"docker.io"}
        with pytest.raises(UsageError, match="in the clear"):
            logins_for(session, spec(tmp_path, "FROM ghcr.io/a/b\n"))
