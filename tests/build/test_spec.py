"""What is to be built, checked before anything starts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from regkit.build.address import Address
from regkit.build.buildctl import arguments
from regkit.build.means import Means
from regkit.build.spec import BuildSpec, build_spec, effective_args, parse_build_args
from regkit.errors import UsageError
from regkit.oci.platform import parse_platforms
from tests.build.conftest import MakeContext

PLATFORMS = parse_platforms(["linux/amd64,linux/arm/v6"])


def test_dockerfile_is_the_contexts_own_unless_one_is_named(context: MakeContext, tmp_path: Path) -> None:
    """A named one may lie outside the context, and has any name."""
    made = context("FROM scratch")
    other = tmp_path / "Other.Dockerfile"
    other.write_text("FROM scratch")

    assert build_spec(made, None, PLATFORMS).dockerfile == made / "Dockerfile"
    assert build_spec(made, other, PLATFORMS).dockerfile == other


def test_lower_case_dockerfile_is_taken_as_buildkit_takes_it(context: MakeContext) -> None:
    """`dockerfile` stands in for `Dockerfile`."""
    made = context(None, dockerfile="FROM scratch")

    assert build_spec(made, None, PLATFORMS).dockerfile.name == "dockerfile"


def test_missing_context_is_a_usage_error(tmp_path: Path) -> None:
    """So is a file in its place."""
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match=r"the build context .*gone doesn't exist"):
        build_spec(tmp_path / "gone", None, PLATFORMS)
    with pytest.raises(UsageError, match=r"the build context .*file isn't a directory"):
        build_spec(tmp_path / "file", None, PLATFORMS)


def test_missing_dockerfile_is_a_usage_error(
    context: MakeContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--file` is relative to the working directory; the hint says so where it was meant relative to the context."""
    made = context(None, other="FROM scratch")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=r"there is no Dockerfile in .*context"):
        build_spec(made, None, PLATFORMS)
    with pytest.raises(UsageError, match=r"there is no Dockerfile other") as caught:
        build_spec(made, Path("other"), PLATFORMS)
    assert caught.value.hint == f"--file is relative to the working directory; did you mean {made}/other?"


def test_build_argument_without_value_is_the_environments() -> None:
    """As with buildx: not there, not given; an empty name is an error; the last one wins."""
    env = {"A": "from env", "C": "unused"}

    assert parse_build_args(["A", "B", "D=1=2", "E=", "D=3"], env) == (("A", "from env"), ("D", "3"), ("E", ""))
    with pytest.raises(UsageError, match="not a build argument: '=x'"):
        parse_build_args(["=x"], env)


def test_source_date_epoch_is_passed_on() -> None:
    """The environment's, unless the argument is given."""
    env = {"SOURCE_DATE_EPOCH": "7"}
    spec = BuildSpec(Path("/c"), Path("/c/Dockerfile"), PLATFORMS, build_args=(("Z", "1"), ("A", "2")))
    given = BuildSpec(Path("/c"), Path("/c/Dockerfile"), PLATFORMS, build_args=(("SOURCE_DATE_EPOCH", "1"),))

    assert effective_args(spec, env) == (("A", "2"), ("SOURCE_DATE_EPOCH", "7"), ("Z", "1"))
    assert effective_args(given, env) == (("SOURCE_DATE_EPOCH", "1"),)
    assert effective_args(given, {"SOURCE_DATE_EPOCH": ""}) == (("SOURCE_DATE_EPOCH", "1"),)


def test_what_else_buildctl_is_told() -> None:
    """Certificates before the verb; caches, attestations and secrets as buildctl spells them, fields as CSV."""
    means = Means.read({"T": "t"}, cache_from=["h.example/a"], cache_to=['type=local,"dest=/a,b"'], secrets=["id=T"])
    attests = (("provenance", (("mode", "max"), ("k", "a,b"))), ("sbom", ()))
    spec = BuildSpec(Path("/c"), Path("/c/Dockerfile"), PLATFORMS, attests=attests, means=means)

    words = arguments(spec, Address("tcp://h:1", Path("/certs")), Path("/out"), {})

    assert words[:5] == ["--addr", "tcp://h:1", "--tlsdir", "/certs", "build"]
    pairs = list(itertools.pairwise(words))
    assert ("--import-cache", "type=registry,ref=h.example/a") in pairs
    assert ("--export-cache", 'type=local,"dest=/a,b"') in pairs
    assert ("--secret", "id=T,env=T") in pairs
    assert ("--opt", 'attest:provenance=mode=max,"k=a,b"') in pairs
    assert ("--opt", "attest:sbom=") in pairs


def test_one_call_serves_all_platforms() -> None:
    """The arguments, in full; a comma in the destination is quoted as CSV."""
    spec = BuildSpec(Path("/c"), Path("/d/My.Dockerfile"), PLATFORMS, "final", (("K", "a,b=c"),))

    assert arguments(spec, Address("unix:///s"), Path("/o,ut"), {}) == [
        *("--addr", "unix:///s", "build", "--progress", "rawjson", "--frontend", "dockerfile.v0"),
        *("--local", "context=/c", "--local", "dockerfile=/d"),
        *("--opt", "filename=My.Dockerfile", "--opt", "platform=linux/amd64,linux/arm/v6"),
        *("--opt", "multi-platform=true", "--opt", "target=final", "--opt", "build-arg:K=a,b=c"),
        *("--output", 'type=oci,tar=false,"dest=/o,ut"'),
    ]


def test_what_is_kept_differs_in_where_it_goes_alone() -> None:
    """The media types are those that a layout would have; what the exporter is told besides is the same."""
    spec = BuildSpec(Path("/c"), Path("/c/Dockerfile"), PLATFORMS, build_args=(("SOURCE_DATE_EPOCH", "1"),))

    sent, kept = (arguments(spec, Address("unix:///s"), Path("/o"), {}, kept=kept) for kept in (False, True))

    assert sent[-2:] == ["--output", "type=oci,tar=false,dest=/o,rewrite-timestamp=true"]
    written = ("--metadata-file", "/o/built.json")
    assert kept == [*sent[:-2], *written, "--output", "type=image,oci-mediatypes=true,rewrite-timestamp=true"]


def test_only_attestations_name_the_images() -> None:
    """An image is called something where an attestation needs it as its subject; the names are one field of CSV."""
    names = ("r.example/a:1.2.3", "r.example/b:1.2.3")
    plain = BuildSpec(Path("/c"), Path("/c/Dockerfile"), PLATFORMS, names=names)
    attested = replace(plain, attests=(("provenance", (("mode", "max"),)),))

    without, last = (arguments(spec, Address("unix:///s"), Path("/o"), {})[-1] for spec in (plain, attested))

    assert "name=" not in without
    assert last == f'{without},"name={",".join(names)}"'
