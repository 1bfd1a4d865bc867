"""The queue on a Ray cluster: runs are trained by its workers and written here, by the process that asked for them.

Ray is an extra, `pip install "kmodels[ray]"`, and imported only here and only when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console

from kmodels.checks import require
from kmodels.data import Dataset, load
from kmodels.interrupt import interruptible
from kmodels.progress import Display, describe, display
from kmodels.results.runs import Run
from kmodels.running.budget import Budget
from kmodels.running.key_lock import locked
from kmodels.running.runner import Outcome, is_there, keep
from kmodels.spec.experiment import Recipe
from kmodels.spec.tasks import Task
from kmodels.training.task_data import key_of

__all__ = ["Cluster", "Share", "connected", "run"]

_RETRIES = 3
_STORE = 128 * 2**20  # bytes of Ray's object store: run files are small, its default is 30 % of the memory


@dataclass(frozen=True)
class Share:
    """What one run is given of the cluster.

    Attributes:
        cpus: CPUs, and threads of the backend, 1 or more.
        gpus: GPUs; a fraction lets several runs share one; None for 1 where the cluster has any.
    """

    cpus: int = 1
    gpus: float | None = None


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        cpus: CPUs of all its machines.
        gpus: GPUs of all its machines.
        local: it is this machine alone, so that workers see the same files.
    """

    cpus: float
    gpus: float
    local: bool

    def at_once(self, share: Share) -> int:
        """Returns how many runs are trained at once.

        Raises:
            ValueError: the cluster has less than one of them needs.
        """
        gpus = self.gpus_of(share)
        require(share.cpus <= self.cpus, "cpus_per_run", f"{self.cpus:g} or fewer, as the cluster has", share.cpus)
        require(gpus <= self.gpus, "gpus_per_run", f"{self.gpus:g} or fewer, as the cluster has", gpus)
        by_cpu = int(self.cpus // share.cpus)
        if gpus == 0.0:
            return by_cpu
        # a run of less than a GPU is on one of them: of 0.4 only two fit, whatever is left over
        return min(by_cpu, int(self.gpus // gpus) if gpus >= 1.0 else int(self.gpus) * int(1 / gpus + 1e-9))

    def gpus_of(self, share: Share) -> float:
        """Returns the GPUs that one run is given."""
        return min(1.0, self.gpus) if share.gpus is None else share.gpus


@contextmanager
def connected(address: str, backend: str) -> Iterator[Cluster]:
    """Connects this process to a Ray cluster while the block runs.

    A cluster of this machine listens on the loopback address alone, without the dashboard, and sends no statistics to
    Ray's makers. Whoever reaches the ports of a cluster can run code on it: let only a private network reach them.

    Args:
        address: of a running cluster, as `ray.init` takes it; empty to start one on this machine that ends with the
            block.
        backend: Keras backend of the workers.

    Raises:
        OSError: there is no cluster at the address, or none can be started.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a run without a share of a GPU hides none
    if not address:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's word for: loopback, on Linux too
    import ray

    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address:
        names = ("KERAS_BACKEND", "KMODELS_DATA", "KMODELS_KEEP_WEIGHTS", "GOMP_SPINCOUNT")
        variables = {name: os.environ[name] for name in names if name in os.environ}
        options |= {"runtime_env": {"env_vars": {**variables, "KERAS_BACKEND": backend}}}
    else:  # its processes have the environment of this one
        options |= {"include_dashboard": False, "object_store_memory": _STORE, "num_cpus": os.cpu_count()}
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise OSError(f"Ray: {address or 'a cluster on this machine'}: {error}") from error
    try:
        reachable = {node["NodeManagerAddress"] for node in ray.nodes()} - {"127.0.0.1", "::1"}
        if not address and reachable:
            raise OSError(f"Ray: expected a cluster that listens on 127.0.0.1 alone. Received: {min(reachable)}")
        found = ray.cluster_resources()
        yield Cluster(found.get("CPU", 0.0), found.get("GPU", 0.0), not address)
    finally:
        ray.shutdown()


def run(
    queue: Sequence[Task],
    datasets: Mapping[str, Dataset],
    folder: Path,
    cluster: Cluster,
    share: Share,
    *,
    pipeline: str,
    console: Console,
    seconds: Sequence[float] | None = None,
    budget: Budget | None = None,
) -> Outcome:
    """Trains the tasks that have no run file yet on a cluster, in their order, as many at once as it has room for.

    A run whose worker is lost is started again, up to three times. Workers load the data themselves. On a cluster of
    this machine a long run goes on from its checkpoint, elsewhere it begins again.

    Args:
        queue: what to train.
        datasets: the images they train on, by name; workers must find the same.
        folder: results folder, of this process.
        cluster: what `connected` gave.
        share: what one run is given of it.
        pipeline: `memory` or `tfdata`.
        console: receives progress.
        seconds: about how long each task takes, for the time that is shown to be left; None where all take as long.
        budget: begin nothing that would not end within it; None for no limit.

    Raises:
        ValueError: the cluster has less than one run needs.
        OSError: a run cannot be written.
    """
    at_once, outcome = cluster.at_once(share), Outcome()
    waiting = list(reversed(queue))
    with interruptible() as interruption, display(queue, console, seconds) as shown:
        flights = _Flights(datasets, folder, cluster, share, pipeline, shown, console, budget, outcome)
        try:
            while waiting or flights.up:
                while waiting and len(flights.up) < at_once:
                    interruption.check()
                    flights.start(waiting.pop())
                flights.land(timeout=0.2)
                interruption.check()
        except KeyboardInterrupt:
            outcome.interrupted = True
        finally:
            flights.abandon()
    return outcome


class _Flights:
    """The runs that workers are training."""

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        folder: Path,
        cluster: Cluster,
        share: Share,
        pipeline: str,
        shown: Display,
        console: Console,
        budget: Budget | None,
        outcome: Outcome,
    ) -> None:
        import ray

        self.up: dict[Any, tuple[Task, str, ExitStack]] = {}
        self._datasets, self._folder, self._cluster, self._pipeline = datasets, folder, cluster, pipeline
        self._shown, self._console, self._budget, self._outcome = shown, console, budget, outcome
        options = {"num_cpus": share.cpus, "num_gpus": cluster.gpus_of(share), "max_retries": _RETRIES}
        self._train = ray.remote(**options)(_train_there)
        self._threads = share.cpus

    def start(self, task: Task) -> None:
        """Hands a task to the cluster, unless there is a reason not to."""
        key = key_of(task, self._datasets[task.recipe.dataset], self._pipeline)
        state = self._folder / task.experiment / f"{key}.state"
        if self._budget is not None and not self._budget.fits([task]):
            self._outcome.unfit.append(task)
            return
        with ExitStack() as stack:
            if not stack.enter_context(locked(self._folder, key)):
                self._outcome.elsewhere.append(task)
                self._shown.finished(task, "left to another process, which is training it")
                return
            if is_there(self._folder, key):
                self._shown.finished(task, "already there")
                return
            checkpoint = str(state.resolve()) if self._cluster.local else None
            values = {**asdict(task), "recipe": task.recipe.as_dict()}
            flight = self._train.remote(values, self._pipeline, self._threads, checkpoint)
            self.up[flight] = task, key, stack.pop_all()

    def land(self, timeout: float) -> None:
        """Waits for the next run, at most so many seconds, and writes what has ended."""
        import ray

        if not self.up:
            return
        ended, _ = ray.wait(list(self.up), num_returns=1, timeout=timeout)
        for flight in ended:
            task, key, lock = self.up.pop(flight)
            with lock:
                try:
                    values, content = ray.get(flight)
                    result = _received(values, content, key)
                except (ray.exceptions.RayError, ValueError) as error:
                    self._console.print(str(error), markup=False, highlight=False, soft_wrap=True)
                    cause = getattr(error, "cause", None) or error
                    reason = (str(cause).strip().splitlines() or [""])[0]
                    self._outcome.failed.append(f"{describe(task)}: {type(cause).__name__}: {reason}")
                else:
                    keep(task, result, self._folder, self._shown, self._outcome, self._budget)

    def abandon(self) -> None:
        """Ends what is still being trained."""
        import ray

        for flight, (_, _, lock) in self.up.items():
            ray.cancel(flight, force=True)
            lock.close()
        self.up.clear()


def _train_there(
    values: Mapping[str, Any], pipeline: str, threads: int, checkpoint: str | None
) -> tuple[dict[str, Any], bytes | None]:
    """Trains one task in a worker; what comes and goes is JSON-ready, and the file of the weights."""
    import keras

    from kmodels.torch_step.device import use_threads
    from kmodels.training.train import train

    task = Task(**{**values, "recipe": Recipe.from_dict(values["recipe"])})
    use_threads(keras.backend.backend(), threads)
    path = None if checkpoint is None else Path(checkpoint)
    result = train(task, _loaded(task.recipe.dataset), pipeline=pipeline, checkpoint=path)
    keras.utils.clear_session()
    return result.as_dict(), None if result.weights is None else result.weights.content


def _received(values: Mapping[str, Any], content: bytes | None, key: str) -> Run:
    """The run that a worker returned."""
    result = Run.from_dict(values)
    require(result.key == key, "key", f"{key}, as here: workers need the same kmodels and data", result.key)
    if result.weights is None:
        return result
    return replace(result, weights=replace(result.weights, content=content))


@cache
def _loaded(name: str) -> Dataset:
    """A data set, once a worker."""
    return load(name)
