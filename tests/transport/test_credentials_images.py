"""Which images a Dockerfile names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regkit.transport.credentials_images import base_images

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
from $BASE:1 as final
COPY --chown=0:0 --from=files.test:5000/a/b@sha256:1 / /
FROM scratch
FROM ${OTHER:-default.test/x}
FROM build
"""


def test_every_image_is_found() -> None:
    """Bases, images that files are taken from, and the syntax; no stages."""
    text = DOCKERFILE.replace("sha256:1 ", f"sha256:{'1' * 64} ")

    assert [image.name for image in base_images(text, {})] == [
        "docker.io/docker/dockerfile",
        "docker.io/library/golang",
        "ghcr.io/owner/base",
        "default.test/x",
        "tools.test/kit",
        "second.test/kit",
        "files.test:5000/a/b",
    ]


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


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    """A file of any content is read to its end."""
    assert isinstance(base_images(f"FROM {text}", {}), tuple)
