"""Caches, secrets, attestations and builders, as options spell them."""

from __future__ import annotations

from pathlib import Path

import pytest

from regkit.build.means import Means, Secret, join_fields, parse_attests, parse_builder, parse_caches, parse_secrets
from regkit.config.spec import BuilderConfig
from regkit.errors import UsageError


def test_caches() -> None:
    """Names alone are caches in registries; fields may be quoted as CSV; keys are in small letters."""
    assert parse_caches("h/a:1,h/b") == (
        (("type", "registry"), ("ref", "h/a:1")),
        (("type", "registry"), ("ref", "h/b")),
    )
    assert parse_caches('Type=local,"dest=a,b"') == ((("type", "local"), ("dest", "a,b")),)


@pytest.mark.parametrize(
    "text",
    ["", "type=registry", "ref=h/a", "type=registry,ref=UPPER", "type=registry,h/a", "type=s3,account_key=k", ","],
)
def test_what_is_no_cache(text: str) -> None:
    """A UsageError, which doesn't repeat a key."""
    with pytest.raises(UsageError) as caught:
        parse_caches(text)
    assert "=k" not in caught.value.message


def test_logins_are_for_caches_in_registries() -> None:
    """Both those that are read and those that are written."""
    means = Means.read({}, cache_from=["h.example/a:1", "type=gha"], cache_to=["type=registry,ref=h.example/b"])

    assert [image.name for image in means.images] == ["h.example/a", "h.example/b"]


def test_secrets(tmp_path: Path) -> None:
    """A file, a variable; without a place the variable of that name, else the file; the last of an id wins."""
    file = tmp_path / "file"
    file.write_text("x")
    env = {"TOKEN": "t", "OTHER": "o"}
    texts = [
        f"id=a,src={file}",
        "id=b,env=OTHER",
        "id=TOKEN",
        "type=env,id=c,src=OTHER",
        f"id=d,source={file}",
        f"id=b,src={file}",
    ]

    assert parse_secrets(texts, env) == (
        Secret("a", file),
        Secret("b", file),
        Secret("TOKEN", None, "TOKEN"),
        Secret("c", None, "OTHER"),
        Secret("d", file),
    )
    assert [secret.words for secret in parse_secrets(texts[:3:2], env)] == [f"id=a,src={file}", "id=TOKEN,env=TOKEN"]


@pytest.mark.parametrize(
    "text", ["", "a", "id=", "src=/etc/hosts", "id=a,env=NO", "id=a,src=/no", "id=a,mode=1", "id=a,type=x"]
)
def test_what_is_no_secret(text: str) -> None:
    """A UsageError."""
    with pytest.raises(UsageError):
        parse_secrets([text], {})


def test_attestations() -> None:
    """The last of a kind wins, and may take it out."""
    assert parse_attests(["type=sbom", "type=provenance,mode=min", "type=provenance,mode=max,version=v1"]) == (
        ("sbom", ()),
        ("provenance", (("mode", "max"), ("version", "v1"))),
    )
    assert parse_attests(["type=sbom", "type=sbom,disabled=true"]) == ()
    assert parse_attests(["type=sbom,generator=h.example/scan"]) == (("sbom", (("generator", "h.example/scan"),)),)


@pytest.mark.parametrize(
    "text", ["", "sbom", "type=x", "mode=max", "type=sbom,disabled=maybe", "type=sbom,generator=UPPER"]
)
def test_what_is_no_attestation(text: str) -> None:
    """A UsageError."""
    with pytest.raises(UsageError):
        parse_attests([text])


def test_builder(tmp_path: Path) -> None:
    """A pattern, an address, and certificates where it's tcp."""
    assert parse_builder("linux/*=ssh://me@host") == BuilderConfig("linux/*", "ssh://me@host")
    assert parse_builder(f"*=tcp://h:1,tls-dir={tmp_path}") == BuilderConfig("*", "tcp://h:1", tmp_path)


def test_fields_are_csv() -> None:
    """A value with a comma or a quote comes through buildctl's reader as it is."""
    assert join_fields((("a", 'b,"c"'), ("d", ""))) == '"a=b,""c""",d='
