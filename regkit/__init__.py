"""regkit: a registry-native manifest toolkit.

The public names are resolved when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from regkit.build.doctor import Finding, diagnose
    from regkit.devregistry.app import DevRegistry
    from regkit.devregistry.server import running
    from regkit.errors import (
        AccessDenied,
        BuildFailed,
        ContentMismatch,
        Interrupted,
        NotFound,
        PartlyDone,
        ProtocolError,
        Refused,
        RegkitError,
        Unavailable,
        UnexpectedStatus,
        UsageError,
        VerificationFailed,
    )
    from regkit.events import Event, Reporter
    from regkit.oci.descriptor import Descriptor
    from regkit.oci.digest import Digest
    from regkit.oci.manifest import Manifest
    from regkit.oci.platform import Platform
    from regkit.oci.reference import Reference
    from regkit.ops.inspect import Inspection, inspect
    from regkit.ops.plan import Plan, PublishSpec
    from regkit.ops.publish import PublishResult, plan, publish
    from regkit.ops.request import publish_spec
    from regkit.ops.tags import list_tags, plan_removal, remove_tags, set_tags
    from regkit.targets.layout import Layout
    from regkit.targets.location import Location
    from regkit.targets.repository import Repository
    from regkit.transport.credentials import Credentials
    from regkit.transport.session import Session

_HOMES = {
    "regkit.build.doctor": ("Finding", "diagnose"),
    "regkit.devregistry.app": ("DevRegistry",),
    "regkit.devregistry.server": ("running",),
    "regkit.errors": (
        "AccessDenied",
        "BuildFailed",
        "ContentMismatch",
        "Interrupted",
        "NotFound",
        "PartlyDone",
        "ProtocolError",
        "Refused",
        "RegkitError",
        "Unavailable",
        "UnexpectedStatus",
        "UsageError",
        "VerificationFailed",
    ),
    "regkit.events": ("Event", "Reporter"),
    "regkit.oci.descriptor": ("Descriptor",),
    "regkit.oci.digest": ("Digest",),
    "regkit.oci.manifest": ("Manifest",),
    "regkit.oci.platform": ("Platform",),
    "regkit.oci.reference": ("Reference",),
    "regkit.ops.inspect": ("Inspection", "inspect"),
    "regkit.ops.plan": ("Plan", "PublishSpec"),
    "regkit.ops.publish": ("PublishResult", "plan", "publish"),
    "regkit.ops.request": ("publish_spec",),
    "regkit.ops.tags": ("list_tags", "plan_removal", "remove_tags", "set_tags"),
    "regkit.targets.layout": ("Layout",),
    "regkit.targets.location": ("Location",),
    "regkit.targets.repository": ("Repository",),
    "regkit.transport.credentials": ("Credentials",),
    "regkit.transport.session": ("Session",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604 - strings all, in the order of their homes
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> object:
    """Import a public name from its home when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public."""
    return sorted(__all__)
