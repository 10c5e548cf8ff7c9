"""The small verbs beside their peers: the same bytes, digests and answers, in both directions."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.digest import Digest
from regkit.oci.manifest import canonical_json
from tests.conftest import KINDS
from tests.interop.test_access import SECRET, USER
from tests.support.command import clean_environment, fails, output_of, peer, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, debian, distribution
from tests.support.tokens import TokenService, token_service

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v6")
DATA = bytes(range(256)) * 1000
KIND = "application/vnd.example.note"


@pytest.fixture
def name(registry: RunningRegistry, tmp_path: Path) -> str:
    """Give the name of a release that skopeo pushed."""
    return pushed(registry, tmp_path)


def pushed(registry: RunningRegistry, tmp_path: Path) -> str:
    """Have skopeo push a release; give its name."""
    make_layout(tmp_path / "layout", PLATFORMS, layers=2)
    name = f"{registry.host}/team/hello"
    copy = ("skopeo", "copy", "--all", "--dest-tls-verify=false")
    output_of(peer(*copy, f"oci:{tmp_path / 'layout'}:built", f"docker://{name}:1"))
    return name


def raw_of(home: Path, *argv: str) -> bytes:
    """Run a command that ends well; give the bytes on its stdout."""
    return subprocess.run(argv, env=clean_environment(home), capture_output=True, check=True).stdout


def plain(name: str) -> str:
    """Give regctl's option for the registry of a name."""
    return f"reg={name.partition('/')[0]},tls=disabled"


def test_resolve_and_crane_digest(name: str) -> None:
    """The same digest, of the index and of each platform's image."""
    assert output_of(regkit("resolve", f"{name}:1")) == f"{name}@{output_of(peer('crane', 'digest', f'{name}:1'))}"
    for platform in PLATFORMS:
        digest = output_of(peer("crane", "digest", "--platform", platform, f"{name}:1"))
        assert output_of(regkit("resolve", "--platform", platform, f"{name}:1")) == f"{name}@{digest}"


def test_what_is_read(name: str, tmp_path: Path) -> None:
    """Manifest, descriptor, configuration and layer, as crane, regctl and oras read them."""
    shown = output_of(regkit("manifest", "get", f"{name}:1"))
    assert shown == output_of(peer("crane", "manifest", f"{name}:1"))
    head = json.loads(output_of(regkit("manifest", "head", f"{name}:1")))
    assert head["digest"] == output_of(peer("regctl", "--host", plain(name), "manifest", "head", f"{name}:1")).strip()
    assert head == json.loads(output_of(peer("oras", "manifest", "fetch", "--plain-http", "--descriptor", f"{name}:1")))

    image = json.loads(output_of(regkit("manifest", "get", "--platform", "arm64", f"{name}:1")))
    config = output_of(regkit("inspect", "--config", "--platform", "arm64", f"{name}:1"))
    assert config == output_of(peer("crane", "config", "--platform", "linux/arm64", f"{name}:1"))
    layer = f"{name}@{image['layers'][0]['digest']}"
    output_of(regkit("blob", "get", layer, "--output", tmp_path / "layer"))
    read = (tmp_path / "layer").read_bytes()
    assert read == raw_of(tmp_path, "crane", "blob", layer)
    assert read == raw_of(tmp_path, "oras", "blob", "fetch", "--plain-http", "--output", "-", layer)
    size = json.loads(output_of(regkit("blob", "head", layer)))["size"]
    descriptor = output_of(peer("oras", "blob", "fetch", "--plain-http", "--descriptor", layer))
    assert size == json.loads(descriptor)["size"] == len(read)


def test_blobs_in_both_directions(registry: RunningRegistry, tmp_path: Path) -> None:
    """What regkit puts oras fetches, and what oras pushes regkit gets."""
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_bytes(DATA)
    other.write_bytes(DATA[::-1])
    name = f"{registry.host}/team/blobs"

    digest = output_of(regkit("blob", "put", name, file)).strip()
    assert digest == Digest.of(DATA)
    fetched = raw_of(tmp_path, "oras", "blob", "fetch", "--plain-http", "--output", "-", f"{name}@{digest}")
    assert fetched == DATA
    output_of(peer("oras", "blob", "push", "--plain-http", name, other))
    output_of(regkit("blob", "get", f"{name}@{Digest.of(DATA[::-1])}", "--output", tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == DATA[::-1]


def test_manifests_in_both_directions(name: str, tmp_path: Path) -> None:
    """The bytes stay as they are, however they are written."""
    document = json.loads(output_of(peer("crane", "manifest", f"{name}:1")))
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    ours.write_text(json.dumps(document, indent=7))
    theirs.write_text(json.dumps(document) + "\n")

    digest = output_of(regkit("manifest", "put", f"{name}:ours", ours)).strip()
    assert output_of(peer("crane", "manifest", f"{name}:ours")) == ours.read_text()
    assert output_of(peer("crane", "digest", f"{name}:ours")).strip() == digest == Digest.of(ours.read_bytes())
    output_of(peer("oras", "manifest", "push", "--plain-http", f"{name}:theirs", theirs))
    assert output_of(regkit("manifest", "get", f"{name}:theirs")) == theirs.read_text()


def test_a_manifest_whose_content_is_elsewhere(name: str, tmp_path: Path) -> None:
    """Every registry refuses an index without its images; regkit says what has to come first, and ends with 5."""
    (tmp_path / "index.json").write_text(output_of(peer("crane", "manifest", f"{name}:1")))

    said = fails("manifest", "put", f"{name}-new:1", str(tmp_path / "index.json"), code=5)

    assert "hint: what it lists comes first: " in said


@pytest.fixture
def deletes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningRegistry]:
    """Give a registry that deletes, which 2.8 does where its configuration says so."""
    start = partial(debian, delete=True) if request.param == "debian" else KINDS[request.param]
    with start(tmp_path / "deletes") as running:
        yield running


@pytest.mark.parametrize("deletes", ["distribution", "debian", "embedded"], indirect=True)
def test_manifests_are_deleted(deletes: RunningRegistry, tmp_path: Path) -> None:
    """What regkit deletes is gone for crane, and the other way round; a registry's other tags stay."""
    name = pushed(deletes, tmp_path)
    document = output_of(regkit("manifest", "get", f"{name}:1"))
    child = json.loads(document)["manifests"][0]["digest"]
    output_of(peer("crane", "tag", f"{name}@{child}", "amd64"))
    index = output_of(regkit("resolve", f"{name}:1")).strip()

    shown = regkit("manifest", "rm", f"{name}@{child}").stderr.splitlines()
    assert shown[1:3] == ["  with the tag amd64", "  BREAKS 1, an index that lists it"]
    output_of(regkit("manifest", "rm", index, "--yes"))
    assert peer("crane", "digest", index).returncode != 0
    assert output_of(peer("crane", "digest", f"{name}:amd64")).strip() == child
    output_of(peer("crane", "delete", f"{name}@{child}"))
    assert regkit("resolve", f"{name}@{child}").returncode == 5


@pytest.mark.parametrize("registry", ["debian"], indirect=True)
def test_a_registry_that_does_not_delete(name: str) -> None:
    """Debian's has deletes switched off: refused, exit code 9, and all is still there."""
    index = output_of(regkit("resolve", f"{name}:1")).strip()

    assert regkit("manifest", "rm", index, "--yes").returncode == 9
    assert output_of(regkit("resolve", f"{name}:1")).strip() == index


def test_referrers_in_both_directions(name: str, tmp_path: Path) -> None:
    """With the API and with the fallback tag: what oras attaches regkit lists, and the other way round."""
    subject = json.loads(output_of(regkit("manifest", "head", f"{name}:1")))
    note = tmp_path / "note.txt"
    note.write_text("by oras")
    attach = ("oras", "attach", "--plain-http", "--disable-path-validation", "--artifact-type", KIND)
    output_of(peer(*attach, f"{name}:1", f"{note}:text/plain"))

    (tmp_path / "empty").write_bytes(b"{}")
    output_of(regkit("blob", "put", name, tmp_path / "empty"))
    empty = Descriptor.of(mediatype.OCI_EMPTY, b"{}").to_json()
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": f"{KIND}.ours",
        "config": empty,
        "layers": [empty],
        "subject": subject,
    }
    (tmp_path / "ours.json").write_bytes(canonical_json(document))
    ours = output_of(regkit("manifest", "put", name, tmp_path / "ours.json")).strip()

    listed = json.loads(output_of(regkit("referrers", f"{name}:1", "--format", "json")))["referrers"]
    discovered = json.loads(output_of(peer("oras", "discover", "--plain-http", "--format", "json", f"{name}:1")))
    assert types(listed) == types(discovered["referrers"])
    assert types(listed)[f"{KIND}.ours"] == ours
    (one,) = json.loads(output_of(regkit("referrers", f"{name}:1", "--artifact-type", KIND, "--format", "json")))[
        "referrers"
    ]
    assert one["digest"] == types(listed)[KIND]
    tree = output_of(regkit("inspect", "--format", "tree", f"{name}:1"))
    assert f"referrer {KIND}  " in tree
    assert "note.txt  " in tree


def types(referrers: list[dict[str, Any]]) -> dict[str, str]:
    """Give the digest of each artifact type."""
    return {each["artifactType"]: each["digest"] for each in referrers}


def test_caps_only_read(name: str, registry: RunningRegistry) -> None:
    """What distribution can do is what its documentation says, and finding out writes nothing."""
    before = registry.mark()
    found = json.loads(output_of(regkit("caps", name, "--format", "json")))["capabilities"]

    assert registry.writes(before) == []
    answers = {each: found[each]["answer"] for each in found}
    assert (answers["api"], answers["authentication"], answers["manifest-head-digest"]) == ("v2", "none", "yes")
    assert (answers["manifest-head-length"], answers["blob-range"]) == ("yes", "yes")
    assert answers["referrers-api"] == ("yes" if registry.kind == "embedded" else "no")


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    """Give a token service that lets one user in, and nobody else."""

    def allow(user: str | None, _repository: str) -> set[str]:
        return {"pull", "push"} if user else set()

    with token_service({USER: SECRET}, allow) as service:
        yield service


def test_caps_of_a_guarded_registry(tokens: TokenService, tmp_path: Path) -> None:
    """The challenge is told to everybody; what it guards is unknown without a login, and known with one."""
    home, stranger = tmp_path / "home", tmp_path / "stranger"
    stranger.mkdir()
    make_layout(home / "layout")
    with distribution(tmp_path / "registry", extra_config=tokens.configuration(tmp_path)) as registry:
        name = f"{registry.host}/team/hello"
        auth = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
        (home / ".docker").mkdir()
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        output_of(regkit("copy", f"oci:{home / 'layout'}:built", f"{name}:1", home=home))

        def answers(home: Path) -> dict[str, str]:
            document = json.loads(output_of(regkit("caps", f"{name}:1", "--format", "json", home=home)))
            return {key: value["answer"] for key, value in document["capabilities"].items()}

        known, unknown = answers(home), answers(stranger)

    assert known["authentication"] == unknown["authentication"] == "bearer"
    assert (known["access"], known["manifest-head"], known["blob-range"]) == ("yes", "yes", "yes")
    assert (unknown["tag-paging"], unknown["manifest-head"], unknown["blob-range"]) == ("unknown",) * 3
