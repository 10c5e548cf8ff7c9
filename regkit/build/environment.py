"""What the environment of a child may hold: no credential, and the certificate authority that was asked for."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from regkit.errors import UsageError

_SECRET = ("DOCKER_USERNAME", "DOCKER_PASSWORD", "DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE")
_SECRET_ENDS = ("PASSWORD", "TOKEN", "SECRET", "SECRET_ACCESS_KEY", "CREDENTIALS")
_DAEMON = ("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
_DAEMON_ENDS = ("_PROXY",)
_CERTIFICATES = "/etc/ssl/certs:/etc/pki/tls/certs"  # crypto/x509, root_linux.go


def client_environment(
    env: Mapping[str, str], docker_config: Path | None, asked: Collection[str] = ()
) -> dict[str, str]:
    """Give buildctl's environment: ours without anything that looks like a credential, but for what was `asked`."""
    kept = {
        name: value
        for name, value in env.items()
        if name in asked
        or (name not in _SECRET and not name.startswith("REGKIT_") and not name.upper().endswith(_SECRET_ENDS))
    }
    if docker_config is not None:
        kept["DOCKER_CONFIG"] = str(docker_config)
    return kept


def daemon_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Give buildkitd's environment: only what a daemon needs that must reach registries."""
    return {name: value for name, value in env.items() if name in _DAEMON or name.upper().endswith(_DAEMON_ENDS)}


def trusting(env: Mapping[str, str], ca_file: Path | None, directory: Path) -> dict[str, str]:
    """Add a certificate authority to those that a Go program trusts; `directory` is written to."""
    if ca_file is None:
        return dict(env)
    trusted = directory / "ca"
    try:
        trusted.mkdir(exist_ok=True)
        shutil.copyfile(ca_file, trusted / "ca.pem")
    except OSError as error:
        raise UsageError(f"can't read the CA file {ca_file}: {error.strerror}") from None
    return {**env, "SSL_CERT_DIR": f"{env.get('SSL_CERT_DIR') or _CERTIFICATES}:{trusted}"}
