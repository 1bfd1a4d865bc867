"""Whether a host answers at all, found out in seconds: a firewall that drops packets makes clients wait for minutes."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

__all__ = ["unreachable"]

SECONDS = 3.0
"""How long a host may take to accept a connection, name look-up included."""


def unreachable(host: str, port: int) -> str | None:
    """Returns why a host cannot be connected to, or None if it can.

    Where a proxy is set for it (`HTTPS_PROXY` and its kin), the proxy is what must answer.

    Args:
        host: name of the host.
        port: TCP port; 80 stands for http, any other for https.
    """
    proxies = urllib.request.getproxies()
    proxy = proxies.get("http" if port == 80 else "https") or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(host):
        address = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        try:
            host, port = address.hostname or host, address.port or (443 if address.scheme == "https" else 80)
        except ValueError as error:
            return f"the proxy's address cannot be read ({error})"
        named = f"the proxy {host}, port {port},"
    else:
        named = f"{host}, port {port},"
    outcome: list[str | None] = []

    def connect() -> None:
        try:
            with contextlib.closing(socket.create_connection((host, port), timeout=SECONDS)):
                outcome.append(None)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be encoded
            outcome.append(f"{named} cannot be reached ({error})")

    # In a thread of its own: the look-up of the name has no time limit, and a host with many addresses has one each.
    thread = threading.Thread(target=connect, daemon=True, name="reachable")
    thread.start()
    thread.join(SECONDS)
    return outcome[0] if outcome else f"{named} did not answer within {SECONDS:g} seconds"
