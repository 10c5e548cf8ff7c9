"""Which hosts need no proxy: NO_PROXY, as the clients that are written in Go read it.

What those understand is documented at `NoProxy` of <https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


def needs_no_proxy(no_proxy: str, host: str, port: int) -> bool:
    """Tell whether a host, without brackets, is this machine or among the comma-separated exceptions.

    These are `*`, an address, a network as `10.0.0.0/8`, a domain, which its subdomains belong to, or `.domain` or
    `*.domain` for the subdomains alone; each may end in `:port`, for that port alone. What is none of them is passed
    over.
    """
    name = host.lower()
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_covers(entry.strip().lower(), name, address, port) for entry in no_proxy.split(","))


def _covers(entry: str, name: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    place, only = _parted(entry)
    if only not in ("", str(port)):
        return False
    if place == "*":
        return True
    if address is not None:
        network = _network(place)
        return network is not None and address in network
    below = place[1:] if place.startswith("*.") else place
    if below.startswith("."):
        return name.endswith(below)
    return bool(below) and f".{name}".endswith(f".{below}")


def _parted(entry: str) -> tuple[str, str]:
    """Part what an exception is from its port; the colons of an IPv6 address without brackets part nothing."""
    if entry.startswith("["):
        place, _, port = entry[1:].partition("]")
        return place, port.removeprefix(":")
    place, _, port = entry.partition(":")
    return (entry, "") if ":" in port else (place, port)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import ip_address

    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(place: str) -> IPv4Network | IPv6Network | None:
    from ipaddress import ip_network

    try:
        return ip_network(place, strict=False)
    except ValueError:
        return None
