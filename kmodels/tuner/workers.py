"""The chief of a distributed search: it chooses the trials, its workers train them."""

from __future__ import annotations

import ipaddress
import os
import time
import warnings
from concurrent import futures
from typing import Any

__all__ = ["serve"]


def serve(oracle: Any) -> None:
    """Answers the workers until the search is done and none of them is left.

    Address and port are those of `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`.

    Args:
        oracle: KerasTuner's oracle, which chooses the trials.

    Raises:
        OSError: the port is taken.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute import oracle_chief

    address, port = os.environ["KERASTUNER_ORACLE_IP"], os.environ["KERASTUNER_ORACLE_PORT"]
    warn_of_open_port(address)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    servicer = oracle_chief.OracleServicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        bound = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError as error:
        raise OSError(f"port {port} at {address} cannot be opened: {error}") from error
    if bound == 0:
        raise OSError(f"port {port} at {address} cannot be opened")
    server.start()
    # KerasTuner's own loop looks once in 20 s; this one tells the last worker and ends
    while not (servicer.stop_triggered and oracle_chief.exit_chief(oracle)):
        time.sleep(0.2)
    server.stop(grace=1.0).wait()


def warn_of_open_port(address: str) -> None:
    """Warns where other machines could reach the port: whoever does can read and change the search."""
    try:
        local = ipaddress.ip_address(address).is_loopback
    except ValueError:
        local = address == "localhost"
    if not local:
        warnings.warn(
            f"The chief listens at {address} without any authentication: whoever reaches the port can change the "
            "search. Let only a private network reach it.",
            RuntimeWarning,
            stacklevel=3,
        )
