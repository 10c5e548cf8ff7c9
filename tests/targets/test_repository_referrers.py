"""Referrers where the registry keeps no list of them: distribution, and one that loses updates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.errors import Unavailable
from regkit.oci import mediatype
from regkit.oci.descriptor import Descriptor
from regkit.oci.manifest import Manifest, assemble_index, canonical_json
from regkit.oci.platform import Platform
from regkit.oci.reference import Reference
from regkit.protocol.flow import Bytes
from regkit.protocol.referrers import fallback_tag
from regkit.targets.repository import EDITS, Repository
from regkit.transport.session import Session
from tests.support.command import output_of, peer
from tests.support.registries import RunningRegistry
from tests.transport.support import Patient, http, serving

EMPTY = Descriptor.of(mediatype.OCI_EMPTY, b"{}")
SUBJECT = assemble_index((), {"this": "is signed"})
TAG = fallback_tag(SUBJECT.digest)
WITHOUT_API = pytest.mark.parametrize("registry", ["distribution", "debian"], indirect=True)


def referrer(number: int = 0, kind: str = "application/x.signature") -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "artifactType": kind,
        "config": EMPTY.to_json(),
        "layers": [EMPTY.to_json()],
        "subject": SUBJECT.descriptor.to_json(),
        "annotations": {"number": str(number), "org.example.kept": "yes"},
    }
    return Manifest(mediatype.OCI_MANIFEST, canonical_json(document))


def push(repository: Repository, manifest: Manifest) -> None:
    repository.push(manifest.descriptor, Bytes(manifest.raw))


@pytest.fixture
def repository(registry: RunningRegistry) -> Iterator[Repository]:
    with Session() as session, Repository(session, Reference(registry.host, "team/app")) as target:
        target.push(EMPTY, Bytes(b"{}"))
        target.push(SUBJECT.descriptor, Bytes(SUBJECT.raw), "1")
        yield target


def test_referrers_everywhere(repository: Repository, registry: RunningRegistry) -> None:
    """With the API or without it, referrers are listed with types and annotations; only without it a tag is written."""
    first, second = referrer(1), referrer(2, "application/x.bom")
    for manifest in (first, second, first):
        push(repository, manifest)

    assert set(repository.referrers(SUBJECT.digest)) == {first.as_referrer, second.as_referrer}
    assert repository.referrers(SUBJECT.digest, "application/x.bom") == (second.as_referrer,)
    assert registry.tags("team/app") == (["1"] if registry.kind == "embedded" else ["1", TAG])

    assert repository.exists(first.descriptor)
    if repository.delete(first.descriptor):
        assert repository.referrers(SUBJECT.digest) == (second.as_referrer,)
    else:
        assert registry.kind == "debian"


@WITHOUT_API
def test_sixteen_at_once(repository: Repository) -> None:
    """Threads that push referrers of one manifest lose none of them."""
    many = [referrer(number) for number in range(16)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda manifest: push(repository, manifest), many))

    assert set(repository.referrers(SUBJECT.digest)) == {manifest.as_referrer for manifest in many}


@WITHOUT_API
def test_a_child_of_an_index_gets_no_list(repository: Repository, registry: RunningRegistry) -> None:
    """An attestation that its index lists is found there: no tag is written for it."""
    attestation = referrer()
    child = replace(attestation.descriptor, platform=Platform("unknown", "unknown"))

    repository.push(child, Bytes(attestation.raw))

    assert registry.tags("team/app") == ["1"]


@WITHOUT_API
def test_peers_read_our_list_and_we_theirs(repository: Repository, registry: RunningRegistry, tmp_path: Path) -> None:
    """The oras CLI and regctl find what we push beside what they pushed themselves, and so do we."""
    name = f"{registry.host}/team/app"
    (tmp_path / "file").write_text("theirs")
    attach = ("--artifact-type", "application/x.theirs", "--annotation", "by=oras", "--disable-path-validation")
    output_of(peer("oras", "attach", "--plain-http", *attach, f"{name}:1", f"{tmp_path / 'file'}:text/plain"))

    push(repository, ours := referrer())

    theirs = {d.artifact_type: d for d in repository.referrers(SUBJECT.digest)}["application/x.theirs"]
    assert theirs.annotations["by"] == "oras"
    found = json.loads(output_of(peer("oras", "discover", "--plain-http", "--format", "json", f"{name}:1")))
    shown = {each["digest"]: each for each in found.get("referrers") or found["manifests"]}
    assert set(shown) == {ours.digest, theirs.digest}
    assert shown[ours.digest]["annotations"] == dict(ours.annotations)
    regctl = ("regctl", "--host", f"reg={registry.host},tls=disabled", "artifact", "list", "--format", "{{json .}}")
    listed = json.loads(output_of(peer(*regctl, f"{name}:1")))
    assert {each["digest"] for each in listed["descriptors"]} == {ours.digest, theirs.digest}


def index(*listed: Descriptor) -> bytes:
    return http(200, assemble_index(listed, {}).raw, f"Content-Type: {mediatype.OCI_INDEX}")


def test_a_lost_update_is_noticed() -> None:
    """Where another client's write took ours away, it is written again beside theirs."""
    ours, theirs = referrer(1), referrer(2).as_referrer
    alone = [http(404), http(404), http(201)]  # no tag, no API, and so the tag is written
    answers = [http(201), *alone, index(theirs), http(404), http(201), index(theirs, ours.as_referrer)]
    with serving(answers) as server, Patient(server.host) as session:
        push(Repository(session, Reference(server.host, "a")), ours)

    assert [line.split()[0] for line in server.lines] == ["PUT", *["GET", "GET", "PUT"] * 2, "GET"]
    written = json.loads(server.requests[6].partition(b"\r\n\r\n")[2])
    assert written["manifests"] == [theirs.to_json(), ours.as_referrer.to_json()]
    assert len(session.waits) == 1


def test_a_list_that_never_stands() -> None:
    """Where every write gets lost, it ends after a few of them, and the failure says which list it is."""
    answers = [http(201), *[http(404), http(404), http(201)] * (EDITS + 1)]
    with (
        serving(answers) as server,
        Patient(server.host) as session,
        pytest.raises(Unavailable, match=f"the list of referrers {TAG} in {server.host}/a doesn't stay"),
    ):
        push(Repository(session, Reference(server.host, "a")), referrer())
