"""Which images a build reads, told from its Dockerfile, and asked of BuildKit."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.build.baseimages import base_images, needs, suits
from regkit.oci.platform import Platform
from tests.support.command import output_of, regkit
from tests.support.layouts import make_layout
from tests.support.registries import RunningRegistry, embedded

ARM = Platform.parse("linux/arm64")
X86 = Platform.parse("linux/amd64")

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG REGISTRY=ghcr.io
ARG BASE="${REGISTRY}/owner/base"
ARG NOTHING
FROM --platform=$BUILDPLATFORM golang:1.24 AS Build
COPY --from=build /a /b
RUN --mount=type=bind,from=tools.test/kit:2,target=/kit --mount=from=0,target=/x true
RUN --mount=type=cache,target=/c \\
    --mount=type=bind,from=second.test/kit,target=/k true
FROM $BASE:1 as final
COPY --chown=0:0 --from=files.test:5000/a/b@sha256:1 / /
FROM scratch
FROM ${OTHER:-default.test/x}
FROM build
"""


def test_every_image_is_found() -> None:
    """Bases, images that files are taken from, and the syntax; no stages."""
    text = DOCKERFILE.replace("sha256:1 ", f"sha256:{'1' * 64} ")

    assert {image.name for image in base_images(text, {})} == {
        "docker.io/docker/dockerfile",
        "docker.io/library/golang",
        "ghcr.io/owner/base",
        "default.test/x",
        "tools.test/kit",
        "second.test/kit",
        "files.test:5000/a/b",
    }


def test_build_arguments_come_before_defaults() -> None:
    """A base image is often an argument; BuildKit's own one names the syntax."""
    names = [
        image.name
        for image in base_images(DOCKERFILE, {"REGISTRY": "a.test", "OTHER": "b.test/y", "BUILDKIT_SYNTAX": "c.test/s"})
    ]

    assert names[0] == "c.test/s"
    assert "a.test/owner/base" in names
    assert "b.test/y" in names


@pytest.mark.parametrize("text", ["", "FROM", "FROM $NOTHING", "FROM a/UPPER", "FROM ${A", "ARG A=$A\nFROM $A", "\0"])
def test_what_names_nothing(text: str) -> None:
    """What BuildKit will refuse is left to BuildKit."""
    assert base_images(text, {}) == ()
    assert needs(text, {}, [X86], lambda: X86) == ()


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_any_text_is_survived(text: str, arguments: dict[str, str]) -> None:
    """A file of any content is read to its end."""
    assert isinstance(base_images(f"FROM {text}", arguments), tuple)
    assert isinstance(needs(f"FROM x\n{text}", arguments, [X86], lambda: X86), tuple)


def test_the_builder_is_asked_for_its_platform_only_where_that_matters() -> None:
    def native() -> Platform:
        raise AssertionError

    assert [need.platform for need in needs("FROM a\nRUN echo $BUILDPLATFORM", {}, [ARM, X86], native)] == [ARM, X86]
    with pytest.raises(AssertionError):
        needs("FROM --platform=$BUILDPLATFORM a", {}, [ARM], native)


@pytest.mark.parametrize(
    ("asked", "there", "taken"),
    [
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64", "linux/arm/v7", False),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/amd64", "linux/386", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/s390x", "linux/s390x", True),
    ],
)
def test_older_variants_suit(asked: str, there: str, taken: bool) -> None:
    assert suits(Platform.parse(asked), Platform.parse(there)) is taken


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Give a registry with the images a … f, for all of the platforms."""
    root = tmp_path_factory.mktemp("shelf")
    make_layout(root / "layout", ("linux/amd64", "linux/arm64", "linux/arm/v7"))
    with embedded(root / "registry") as registry:
        for name in ("a", "b", "c", "d", "e", "f-arm64", "f-amd64"):
            output_of(regkit("copy", f"oci:{root / 'layout'}:built", f"{registry.host}/{name}:1"))
        yield registry


TEXTS = {
    "stages": "FROM R/a:1 AS x\nFROM R/b:1 AS unused\nFROM x\n"
    "COPY --from=R/c:1 /content /\nCOPY --from=x /content /2\n",
    "target": "FROM R/a:1 AS x\nFROM R/b:1 AS one\nCOPY --from=0 /content /2\nFROM R/c:1\n",
    "arguments": 'ARG V=1\nARG N=a W="b"\nFROM R/${N}:${V} AS x\nFROM R/$W:${NO:-1}\nCOPY --from=x /content /2\n',
    "forms": "ARG A=1 B\nFROM R/${A:+a}${B:+b}:${A-2} AS x\nFROM R/${B:-c}${A+}:1\nCOPY --from=x /content /2\n",
    "given": "ARG N=a\nARG M=${N}\nFROM R/$M:1\n",
    "target platform": "FROM R/f-$TARGETARCH:1\n",
    "build platform": "FROM --platform=$BUILDPLATFORM R/a:1 AS x\nFROM R/b:1\nCOPY --from=x /content /2\n",
    "fixed platform": "FROM --platform=linux/arm/v7 R/a:1 AS x\nFROM R/b:1\nCOPY --from=x /content /2\n",
    "continued": "FROM \\\n# a remark\n  R/a:1 \\\n\n  AS x\nFROM x\nCOPY \\\n --from=R/b:1 /content /2\n",
    "escape": "# escape=`\nFROM `\nR/a:1\nCOPY --from=R/b:1 /content C:\\\nCOPY --from=R/c:1 /content /2\n",
    "heredocs": "FROM R/a:1\nCOPY <<EOF <<-'XY' /texts/\nFROM R/b:1\nEOF\nCOPY --from=R/c:1 / /\n\tXY\n"
    "COPY --from=R/d:1 /content /3\n",
    "json is none": 'FROM R/a:1\nCOPY ["<<EOF", "/texts/"]\nCOPY --from=R/b:1 /content /2\n',
    "case": "from R/a:1 as Base\nfrom R/c:1 as one\nfrom base\n"
    "copy --from=R/b:1 /content /2\ncopy --from=ONE /content /3\n",
    "tab": "FROM\tR/a:1\tAS\tx\nFROM x\nCOPY\t--from=R/b:1\t/content\t/2\n",
    "late argument": "FROM R/a:1\nARG N=b\nFROM R/${N:-c}:1\n",
    "quoted": 'FROM "R/a:1"\nCOPY --from="R/b:1" /content /2\n',
    "remark": "#!/usr/bin/env builder\n# FROM R/b:1\nFROM R/a:1\n  # COPY --from=R/c:1 / /\n",
    "mark": "\ufeffFROM R/a:1\n",
    "on build": "FROM R/a:1\nONBUILD COPY --from=R/b:1 /content /2\n",
}


@pytest.mark.parametrize("name", list(TEXTS))
def test_it_is_what_buildkit_asks_for(
    name: str, shelf: RunningRegistry, builder: str, env: dict[str, str], tmp_path: Path
) -> None:
    """The registry's log tells which images a real build has read: these, and no others."""
    text = TEXTS[name].replace("R/", f"{shelf.host}/")
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / "<<EOF").touch()
    target = "one" if name == "target" else ""
    arguments = {"M": "b", "N": "e"} if name == "given" else {}
    mark = shelf.mark()
    done = subprocess.run(
        [
            *("buildctl", "--addr", str(builder), "build", "--frontend", "dockerfile.v0"),
            *("--local", f"context={tmp_path}", "--local", f"dockerfile={tmp_path}"),
            *("--opt", "platform=linux/amd64,linux/arm64", "--opt", f"target={target}"),
            *(word for key, value in arguments.items() for word in ("--opt", f"build-arg:{key}={value}")),
        ],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    paths = [logged.path.split("/manifests/") for logged in shelf.since(mark) if "/manifests/" in logged.path]
    read = {f"{shelf.host}{repository.removeprefix('/v2')}" for repository, _ in paths}

    assert {need.image.name for need in needs(text, arguments, [X86, ARM], lambda: X86, target)} == read
    assert {image.name for image in base_images(text, {**arguments, "TARGETARCH": "amd64"})} >= read - {
        f"{shelf.host}/f-arm64"
    }


def test_platforms_are_those_that_are_read() -> None:
    """What runs on the builder is read for that one, and what is fixed for what it is fixed to."""
    text = "# syntax=x/y\nFROM --platform=$BUILDPLATFORM a AS x\nFROM --platform=linux/arm/v7 b AS y\nFROM c\n"
    text += "COPY --from=x / /\nCOPY --from=y / /\nRUN --mount=from=d,target=/d true\n"

    found = {(n.image.repository, str(n.platform), n.where) for n in needs(text, {}, [ARM], lambda: X86)}

    assert found == {
        ("x/y", "linux/amd64", "syntax"),
        ("library/a", "linux/amd64", "FROM"),
        ("library/b", "linux/arm/v7", "FROM"),
        ("library/c", "linux/arm64", "FROM"),
        ("library/d", "linux/arm64", "RUN --mount"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "# syntax=x" + " " * 1_000_000 + "y" + "\t " * 1_000_000 + "z\nFROM a\n",
        'FROM a\nRUN --mount="' + "\\a" * 100_000,
        'FROM a\nRUN "' + "\\" * 100_001,
        "FROM a\nRUN \\" + " " * 1_000_000 + "x",
        "ARG A=" + "x" * 3_000_000 + "\nFROM a\n",
        "ARG A1=xx\n" + "".join(f"ARG A{n + 1}=$A{n}$A{n}\n" for n in range(1, 60)) + "FROM a\nFROM $A60\n",
        "FROM a\nFROM " + "${A:-" * 100_000,
        "FROM a\nFROM " + "${A:-" * 30_000 + "}" * 30_000,
    ],
    ids=["spaces", "a flag", "backslashes", "continued", "a long value", "doubled values", "unclosed", "nested"],
)
def test_a_text_that_was_made_to_take_for_ever(text: str) -> None:
    """It is read at once, in little memory; what makes no sense of an image's name is none."""
    assert [image.repository for image in base_images(text, {}) if image.repository != "library/x"] == ["library/a"]
