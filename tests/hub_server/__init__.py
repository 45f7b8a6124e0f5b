"""A small Hub for the test-suite: real sockets, real files, the protocol that the stock clients speak.

    with HubServer(tmp_path / "hub") as hub:
        hub.add_user("alice", token="hf_alice")
        HfApi(endpoint=hub.url, token="hf_alice").create_repo("alice/net")

``HubServer`` keeps everything below one folder, so a second server on that folder sees the same repositories.
``run_client`` runs a script that uses ``huggingface_hub`` or ``datasets`` in a fresh process against it.
"""

from .client import client_environment, fetch, run_client
from .faults import Fault
from .listener import RecordedRequest
from .server import HubServer

__all__ = ["Fault", "HubServer", "RecordedRequest", "client_environment", "fetch", "run_client"]
