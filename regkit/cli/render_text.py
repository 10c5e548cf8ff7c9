"""Events as lines for people."""

from __future__ import annotations

import os

from regkit import events
from regkit.cli.output import counted, human_size
from regkit.events import Event


def describe(event: Event, *, verbose: bool) -> str | None:  # noqa: C901, PLR0911, PLR0912 - one case an event
    """Write an event as a line; None for one that isn't worth a line."""
    match event:
        case events.Note(text, warning):
            return f"warning: {text}" if warning else text
        case events.StageStarted(_, title):
            return f"==> {here(title)}"
        case events.BuilderStarted(root, shared):
            return f"started buildkitd, its cache in {root}" if verbose or not shared else None
        case events.StepDone(platform, name, cached, seconds, error):
            if not verbose and not is_instruction(name):
                return None
            result = f"FAILED: {error}" if error else "cached" if cached else f"{seconds:.1f}s"
            return f"{_prefix(platform)}{name}  {result}"
        case events.StepLog(platform, name, line):  # what a test prints is what it was asked for
            return f"{_prefix(platform)}| {line}" if verbose or name == "test" else None
        case events.PlatformTested(platform, passed, seconds):
            return f"{_prefix(platform)}test {'passed' if passed else 'FAILED'}  {seconds:.1f}s"
        case events.ImageFound(descriptor, layers, size):
            parts = f"{counted(len(layers), 'layer')}, {human_size(size)}"
            return f"image {descriptor.platform} {descriptor.digest}: {parts}" if verbose else None
        case events.BlobPushed(descriptor):
            return f"pushed {descriptor.digest.short}  {human_size(descriptor.size)}"
        case events.ContentExists(descriptor):
            return f"exists {descriptor.digest.short}" if verbose else None
        case events.ManifestPushed(descriptor, tag):
            return f"pushed {tag or descriptor.digest.short}  manifest" if verbose else None
        case events.TagMoved(tag, digest, previous):
            return f"tagged {tag} -> {digest.short}" + (f" (was {previous.short})" if previous else "")
        case events.TagKept(tag, reason):
            return f"kept {tag}: {reason}"
        case events.TagRemoved(tag):
            return f"removed {tag}"
        case events.RetryScheduled(request, reason, attempt, delay):
            return f"again in {delay:.1f}s (try {attempt}): {request}: {reason}"
        case events.RequestServed(method, path, status, uploads):
            return f"{method} {path} {status} uploads={uploads}"
        case (
            events.StepStarted() | events.StepProgress() | events.BlobProgress() | events.ReleaseUp() | events.Failed()
        ):
            return None


def here(text: str) -> str:
    """Write paths below the working directory as a user would."""
    return text.replace(f"{os.getcwd()}{os.sep}", "")  # noqa: PTH109 - a string is all it takes


def is_instruction(name: str) -> bool:
    """Tell whether a step is one of the Dockerfile's, and not BuildKit's own."""
    return name.startswith("[") and not name.startswith("[internal]")


def _prefix(platform: str) -> str:
    return f"[{platform}] " if platform else ""
