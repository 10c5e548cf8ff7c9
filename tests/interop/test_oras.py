"""oras-py, made ready by regkit; and artifacts that one client pushes and the others pull."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from regkit.interop.oras import client
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import canonical_json
from regkit.protocol.auth import Login
from regkit.transport.credentials import Credentials
from regkit.transport.session import Session
from tests.interop.test_access import HTPASSWD, SECRET, USER
from tests.support.command import clean_environment, output_of, peer, regkit
from tests.support.registries import RunningRegistry, distribution
from tests.support.tokens import TokenService, token_service

KIND = "application/vnd.example.report"
REPORT = b"all is well\n"


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file to push, in a home where oras-py finds nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    path = tmp_path / "report.txt"
    path.write_bytes(REPORT)
    return path


def push(oras: Any, target: str, report: Path) -> dict[str, Any]:
    """Push a file as an artifact, as users of oras-py do; give the manifest as it is read again."""
    done = oras.push(target=target, files=[f"{report}:{KIND}"], disable_path_validation=True, quiet=True)
    assert done.status_code == 201
    manifest: dict[str, Any] = oras.get_manifest(oras.get_container(target))
    return manifest


def pull(oras: Any, target: str, directory: Path) -> bytes:
    """Pull an artifact's only file with oras-py."""
    (file,) = oras.pull(target=target, outdir=str(directory))
    return Path(file).read_bytes()


def test_what_oras_py_pushes_others_pull(registry: RunningRegistry, report: Path, tmp_path: Path) -> None:
    """An artifact that goes through the bridge is there for regkit and for the oras command."""
    name = f"{registry.host}/team/report"
    with Session() as session:
        manifest = push(client(session, registry.host), "team/report:1", report)

    digest = manifest["layers"][0]["digest"]
    assert output_of(regkit("blob", "get", f"{name}@{digest}")).encode() == REPORT
    assert json.loads(output_of(regkit("manifest", "get", f"{name}:1"))) == manifest
    assert output_of(regkit("verify", f"{name}:1", "--blobs")).startswith("good: ")
    output_of(peer("oras", "pull", "--plain-http", "--output", tmp_path / "pulled", f"{name}:1"))
    assert (tmp_path / "pulled" / "report.txt").read_bytes() == REPORT


def test_what_regkit_pushes_others_pull(registry: RunningRegistry, report: Path, tmp_path: Path) -> None:
    """An artifact put together with `blob put` and `manifest put` is one for oras-py and for the oras command."""
    name = f"{registry.host}/team/report"
    empty = tmp_path / "empty.json"
    empty.write_bytes(b"{}")
    for file in (report, empty):
        output_of(regkit("blob", "put", name, file))
    layer = {
        **Descriptor.of(KIND, REPORT).to_json(),
        "annotations": {"org.opencontainers.image.title": "report.txt"},
    }
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": KIND,
        "config": Descriptor.of(mediatype.OCI_EMPTY, b"{}").to_json(),
        "layers": [layer],
    }
    (tmp_path / "manifest.json").write_bytes(canonical_json(document))
    digest = output_of(regkit("manifest", "put", f"{name}:1", tmp_path / "manifest.json")).strip()

    with Session() as session:
        assert pull(client(session, registry.host), f"{name}:1", tmp_path / "by-py") == REPORT
    output_of(peer("oras", "pull", "--plain-http", "--output", tmp_path / "by-go", f"{name}@{digest}"))
    assert (tmp_path / "by-go" / "report.txt").read_bytes() == REPORT


def test_what_the_oras_command_pushes_we_pull(registry: RunningRegistry, report: Path, tmp_path: Path) -> None:
    """Its artifact is one for oras-py through the bridge, and for regkit, whose copy of it the command pulls."""
    name, there = f"{registry.host}/team/report:1", f"{registry.host}/team/copy:1"
    plain = ("--plain-http", "--disable-path-validation", "--artifact-type", KIND)
    output_of(peer("oras", "push", *plain, name, f"{report}:{KIND}"))

    with Session() as session:
        oras = client(session, registry.host)
        manifest = oras.get_manifest(oras.get_container(name))
        (layer,) = manifest["layers"]
        (tmp_path / "by-py").write_bytes(oras.get_blob(oras.get_container(name), layer["digest"]).content)
    output_of(regkit("blob", "get", f"{name}@{layer['digest']}", "--output", tmp_path / "by-regkit"))
    output_of(regkit("copy", name, there))
    output_of(peer("oras", "pull", "--plain-http", "--output", tmp_path / "by-go", "--allow-path-traversal", there))

    assert manifest == json.loads(output_of(regkit("manifest", "get", name)))
    assert manifest["artifactType"] == KIND
    assert (tmp_path / "by-py").read_bytes() == (tmp_path / "by-regkit").read_bytes() == REPORT
    assert output_of(regkit("resolve", there)).partition("@")[2] == output_of(regkit("resolve", name)).partition("@")[2]


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    """Give a token service that lets one user push, and everybody pull."""

    def allow(user: str | None, _repository: str) -> set[str]:
        return {"pull", "push"} if user else {"pull"}

    with token_service({USER: SECRET}, allow) as service:
        yield service


def logged_in(host: str, secret: str = SECRET) -> Session:
    """Give a session with a login for one host."""
    return Session(Credentials({host: Login(USER, secret, "the test")}))


@pytest.fixture
def guarded(tokens: TokenService, tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry that wants the service's tokens."""
    with distribution(tmp_path / "registry", extra_config=tokens.configuration(tmp_path)) as registry:
        yield registry


def test_tokens(tokens: TokenService, guarded: RunningRegistry, report: Path, tmp_path: Path) -> None:
    """Each request gets a token for what it asks: oras-py by itself pushes with the one that it pulled with."""
    with logged_in(guarded.host) as session:
        oras = client(session, guarded.host)
        assert not oras.blob_exists({"digest": f"sha256:{'0' * 64}"}, oras.get_container("team/report:1"))
        push(oras, "team/report:1", report)
        asked = [each.scopes for each in tokens.asked]
    with Session() as session:
        anonymous = client(session, guarded.host)
        assert pull(anonymous, "team/report:1", tmp_path / "pulled") == REPORT
        refused = anonymous.do_request(f"http://{guarded.host}/v2/team/report/blobs/uploads/", "POST")

    assert asked == [("repository:team/report:pull",), ("repository:team/report:pull,push",)]
    assert refused.status_code in (401, 403)


def test_tokens_do_not_grow_old(tokens: TokenService, guarded: RunningRegistry, report: Path) -> None:
    """A client that is kept for long asks for new ones in time."""
    clock = [0.0]
    with logged_in(guarded.host) as session:
        oras = client(session, guarded.host, now=lambda: clock[0])
        push(oras, "team/report:1", report)
        before = len(tokens.asked)
        clock[0] = 44.0
        oras.get_manifest(oras.get_container("team/report:1"))
        assert len(tokens.asked) == before
        clock[0] = 46.0
        oras.get_manifest(oras.get_container("team/report:1"))
        assert len(tokens.asked) == before + 1


def test_a_login_that_is_refused(guarded: RunningRegistry) -> None:
    """It fails at once with oras-py's own error: with any other, oras-py would wait and try again for minutes."""
    from oras.auth import AuthenticationException  # type: ignore[import-untyped]

    with logged_in(guarded.host, "wrong") as session:
        oras = client(session, guarded.host)
        with pytest.raises(AuthenticationException, match="can't get a token"):
            oras.get_tags("team/report")


def test_basic_over_tls(report: Path, tmp_path: Path) -> None:
    """The login and the authorities are the session's; its credentials go nowhere else, and into no file."""
    authority = trustme.CA()
    with ExitStack() as stack:
        (tmp_path / "htpasswd").write_text(HTPASSWD)
        files = {}
        for name, blob in (
            ("ca", authority.cert_pem),
            ("certificate", (issued := authority.issue_cert("127.0.0.1")).cert_chain_pems[0]),
            ("key", issued.private_key_pem),
        ):
            files[name] = tmp_path / f"{name}.pem"
            blob.write_to_path(files[name])
        extra = {
            "auth": {"htpasswd": {"realm": "x", "path": str(tmp_path / "htpasswd")}},
            "http": {"tls": {"certificate": str(files["certificate"]), "key": str(files["key"])}},
        }
        registry = stack.enter_context(distribution(tmp_path / "registry", extra_config=extra))
        login = Credentials({registry.host: Login(USER, SECRET, "the test")})
        session = stack.enter_context(Session(login, ca_file=files["ca"]))
        oras = client(session, registry.host)

        push(oras, "team/report:1", report)
        assert pull(oras, f"{registry.host}/team/report:1", tmp_path / "pulled") == REPORT
        assert oras.get_tags("team/report") == ["1"]
        elsewhere = oras.session.prepare_request(
            requests.Request("GET", f"https://{registry.host}/v2/".replace("127.0.0.1", "127.0.0.2"))
        )

    assert "Authorization" not in elsewhere.headers
    assert not (tmp_path / ".docker").exists()


def test_importing_the_bridge_loads_no_oras(tmp_path: Path) -> None:
    """Only who asks for a client waits for it."""
    program = "import sys, regkit.interop.oras; print('oras' in sys.modules, 'requests' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=clean_environment(tmp_path)
    )

    assert done.stdout == "False False\n"
