"""What children see of our environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.build.environment import client_environment, daemon_environment, trusting
from regkit.errors import UsageError

OURS = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "DOCKER_USERNAME": "me",
    "DOCKER_PASSWORD": "secret",
    "DOCKER_AUTH_CONFIG": "{}",
    "DOCKER_CONFIG": "/home/me/.docker",
    "REGKIT_PASSWORD": "secret",
    "REGKIT_IMAGE": "x",
    "GITHUB_TOKEN": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "SOURCE_DATE_EPOCH": "0",
    "https_proxy": "http://proxy",
}


def test_buildctl_gets_no_credential() -> None:
    """Nothing that looks like one, and the DOCKER_CONFIG that was made for it."""
    assert client_environment(OURS, Path("/run/docker")) == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "DOCKER_CONFIG": "/run/docker",
        "SOURCE_DATE_EPOCH": "0",
        "https_proxy": "http://proxy",
    }


def test_buildctl_gets_the_secrets_that_are_asked_for() -> None:
    """By name, and no others."""
    given = client_environment(OURS, None, ["GITHUB_TOKEN"])

    assert given["GITHUB_TOKEN"] == "secret"
    assert "AWS_SECRET_ACCESS_KEY" not in given


def test_buildkitd_gets_what_it_needs_only() -> None:
    """Its environment is a short list."""
    assert daemon_environment(OURS) == {"PATH": "/bin", "HOME": "/home/me", "https_proxy": "http://proxy"}


def test_authority_is_added_to_those_that_are_trusted(tmp_path: Path) -> None:
    """The system's own stay; a user's SSL_CERT_DIR is kept."""
    authority = tmp_path / "my.pem"
    authority.write_text("PEM")

    own = trusting({"SSL_CERT_DIR": "/mine"}, authority, tmp_path)
    assert own == {"SSL_CERT_DIR": f"/mine:{tmp_path}/ca"}
    assert (tmp_path / "ca" / "ca.pem").read_text() == "PEM"
    assert trusting({}, authority, tmp_path)["SSL_CERT_DIR"].startswith("/etc/ssl/certs:")
    assert trusting({"A": "b"}, None, tmp_path) == {"A": "b"}


def test_missing_authority_is_a_usage_error(tmp_path: Path) -> None:
    """The sentence names the file."""
    with pytest.raises(UsageError, match=r"can't read the CA file .*gone\.pem: No such file"):
        trusting({}, tmp_path / "gone.pem", tmp_path)
