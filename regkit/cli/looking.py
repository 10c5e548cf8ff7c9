"""Options of what is looked at before a push, and of what is attested; declared once."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Annotated

import typer

from regkit.cli.options import lines_of


class Attesting(Enum):
    """What becomes of attestations that are there."""

    keep = "keep"
    strip = "strip"


class Engine(StrEnum):
    """Who takes an image on this machine."""

    docker = "docker"
    podman = "podman"
    containerd = "containerd"


KeepOrStrip = Annotated[
    Attesting,
    typer.Option(
        "--attestations", envvar="REGKIT_ATTESTATIONS", help="Keep, or leave out, provenance and SBOMs that are there."
    ),
]
Provenance = Annotated[
    str | None,
    typer.Option(
        envvar="REGKIT_PROVENANCE", metavar="true|false|mode=max", help="Short for --attest type=provenance,…"
    ),
]
Sbom = Annotated[
    str | None,
    typer.Option(envvar="REGKIT_SBOM", metavar="true|false|generator=IMAGE", help="Short for --attest type=sbom,…"),
]
Test = Annotated[
    str | None,
    typer.Option(
        envvar="REGKIT_TEST",
        metavar="COMMAND",
        help="Run it in every platform's image before anything is pushed: a line for its shell, or a JSON array.",
    ),
]
TestPlatforms = Annotated[
    list[str] | None,
    typer.Option(envvar="REGKIT_TEST_PLATFORM", metavar="LIST", help="Run the test in these platforms' images only."),
]
Preflight = Annotated[
    bool,
    typer.Option(
        "--preflight/--no-preflight",
        envvar="REGKIT_PREFLIGHT",
        help="Ask for every base image and its platforms before the build, or leave them to the builder.",
    ),
]
Load = Annotated[
    Engine | None,
    typer.Option(envvar="REGKIT_LOAD", help="Hand the image for this machine to a local engine, before the push."),
]
LoadPlatform = Annotated[
    str | None,
    typer.Option(envvar="REGKIT_LOAD_PLATFORM", metavar="PLATFORM", help="Hand over the image for this one instead."),
]


def attests_of(attest: list[str] | None, provenance: str | None, sbom: str | None) -> list[str]:
    """Give what is attested as `--attest` says it; the short forms come last, as with buildx."""
    short = (("provenance", provenance), ("sbom", sbom))
    return [*(attest or lines_of("REGKIT_ATTEST")), *(_spelled(kind, said) for kind, said in short if said is not None)]


def _spelled(kind: str, said: str) -> str:
    switch = {"true": "false", "1": "false", "false": "true", "0": "true"}.get(said.strip().lower())
    return f"type={kind},disabled={switch}" if switch else f"type={kind},{said}"
