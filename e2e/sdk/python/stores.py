"""What an app does with the SDK and stores: state, secrets, configuration and locks.

Prints "subscribed" once it waits for a change of the setting "colour", and at the end what it saw as one JSON object. The
sidecar is the one of DAPR_HTTP_PORT and DAPR_GRPC_PORT; its components are "store", "secrets", "settings" and "locks".
"""

import json
import threading

from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import StateItem
from dapr.clients.health import DaprHealth

LIMIT_SECONDS = 240
JSON = {"contentType": "application/json"}


def text(value: bytes) -> str:
    """A value of the store without the spaces that it may put into JSON."""
    return value.decode().replace(" ", "")


def use_state(client: DaprClient) -> dict:
    items = [StateItem(key=key, value=value, metadata=JSON) for key, value in (("a", '{"n":1}'), ("b", '{"n":2}'))]
    client.save_bulk_state("store", items)
    found = client.query_state("store", json.dumps({"filter": {"EQ": {"n": 1}}}))
    etag = client.get_state("store", "a").etag
    client.save_state("store", "a", '{"n":3}', etag=etag, state_metadata=JSON)
    try:
        client.save_state("store", "a", '{"n":4}', etag=etag, state_metadata=JSON)
        conflict = "none"
    except DaprGrpcError as error:
        conflict = error.code().name
    client.execute_state_transaction(
        "store",
        [
            TransactionalStateOperation(key="c", data='"c"', operation_type=TransactionOperationType.upsert),
            TransactionalStateOperation(key="b", data="", operation_type=TransactionOperationType.delete),
        ],
    )
    bulk = client.get_bulk_state("store", ["a", "b", "c"], parallelism=2).items
    return {
        "queried": ",".join(item.key for item in found.results),
        "conflict": conflict,
        "bulk": ",".join(f"{item.key}={text(item.data)}" for item in sorted(bulk, key=lambda item: item.key)),
    }


def use_secrets(client: DaprClient) -> dict:
    return {
        "secret": client.get_secret("secrets", "first").secret["first"],
        "secrets": ",".join(sorted(client.get_bulk_secret("secrets").secrets)),
    }


def use_settings(client: DaprClient) -> dict:
    setting = client.get_configuration("settings", ["colour"]).items["colour"]
    changed: list[str] = []
    told = threading.Event()

    def changes(_id: str, response) -> None:
        changed.append(response.items["colour"].value)
        told.set()

    subscription = client.subscribe_configuration("settings", ["colour"], changes)
    print("subscribed", flush=True)
    if not told.wait(LIMIT_SECONDS):
        raise TimeoutError("nobody told of the change")
    ended = client.unsubscribe_configuration("settings", subscription)
    return {"setting": f"{setting.value} {setting.version}", "changed": changed[0], "ended": str(ended).lower()}


def use_locks(client: DaprClient) -> dict:
    first = client.try_lock("locks", "door", "one", 60).success
    second = client.try_lock("locks", "door", "two", 60).success
    statuses = [client.unlock("locks", "door", owner).status.name for owner in ("two", "one", "one")]
    return {"locked": f"{first},{second}".lower(), "unlocked": ",".join(statuses)}


def main() -> None:
    DaprHealth.wait_for_sidecar()
    seen: dict = {}
    with DaprClient() as client:
        for use in (use_state, use_secrets, use_settings, use_locks):
            seen |= use(client)
    print(json.dumps(seen))


main()
