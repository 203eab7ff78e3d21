"""Where submissions are examined: on this machine, or on a Dask cluster. Results come back as they are ready."""

import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tml_helpers.grading.pool import Learned, Pool
from tml_helpers.grading.sandbox import Submission, Task

Results = Iterator[tuple[str, dict[str, Any]]]
LOOPBACK = {"127.0.0.1", "localhost", "::1", None}


def local(
    task: Task,
    submissions: dict[str, Submission],
    jobs: int | None,
    *,
    learned: Learned | None = None,
    learn: Callable[[Learned], None] = lambda _: None,
) -> Results:
    """Each submission's report, by its key, from this machine, `jobs` at once (default: as many as are worth it).

    `learned`: what the canaries of a former run told, if nothing has changed since; `learn` is handed what they tell.
    """
    pool = Pool(task, learned)
    learn(pool.learned)
    try:
        with ThreadPoolExecutor(jobs or pool.worth(len(submissions))) as threads:
            futures = {threads.submit(pool.examine, submission): key for key, submission in submissions.items()}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                threads.shutdown(wait=True, cancel_futures=True)
    finally:
        pool.close()


def dask(task: Task, submissions: dict[str, Submission], address: str) -> Results:
    """The same from the workers of a Dask cluster. What a worker had not answered when it died is given to another."""
    from distributed import as_completed as completed

    with _client(address) as client:
        shared = client.scatter(task, broadcast=True)
        futures = {
            client.submit(_on_worker, shared, submission, pure=False, retries=3): key
            for key, submission in submissions.items()
        }
        for future in completed(list(futures), loop=client.loop):
            yield futures[future], future.result()
        client.run(_end_pools)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """A connection to the cluster's scheduler. ValueError for one that could be listened to, OSError for none."""
    try:
        from distributed import Client
        from distributed.security import Security
    except ModuleNotFoundError as error:
        raise OSError(f"{error.name} is not installed: run `pip install distributed`") from error
    place = urlsplit(address if "://" in address else f"tcp://{address}")
    if place.scheme != "tls" and place.hostname not in LOOPBACK:
        raise ValueError(
            f"{address} would send submissions over the network in the clear: use tls://, see the page on scale"
        )
    security: Any = Security() if place.scheme == "tls" else None
    if security is not None and not (security.tls_ca_file and security.tls_client_cert):
        raise ValueError("tls:// needs certificates: name them in Dask's settings, see the page on scale")
    try:
        client = Client(address, security=security, timeout=30, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise OSError(f"no Dask scheduler answers at {address} ({type(error).__name__}): start one first") from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise OSError(f"the scheduler at {address} has no worker: start one with `dask worker {address}`")
        yield client


_pools: dict[str, Pool] = {}
_opening = threading.Lock()


def _on_worker(task: Task, submission: Submission) -> dict[str, Any]:
    """Runs on a worker: examines with this process's pool, which begins with its own canaries."""
    key = hashlib.sha256(pickle.dumps(task)).hexdigest()
    with _opening:
        if key not in _pools:
            _end_pools()
            _pools[key] = Pool(task)
    return _pools[key].examine(submission)


def _end_pools() -> None:
    while _pools:
        _pools.popitem()[1].close()
