"""What an app does with the SDK: waits for its sidecar, reads and writes metadata, keeps state, invokes another app.

Prints what it saw as one JSON object. The sidecar is the one of DAPR_HTTP_PORT and DAPR_GRPC_PORT; the arguments are the
app to invoke and a state store.
"""

import json
import sys

from dapr.clients import DaprClient
from dapr.clients.health import DaprHealth


def main(callee: str, store: str) -> None:
    DaprHealth.wait_for_sidecar()
    with DaprClient() as client:
        client.set_metadata("sdk", "python")
        metadata = client.get_metadata()
        client.save_state(store, "greeting", "hello")
        saved = client.get_state(store, "greeting")
        client.delete_state(store, "greeting")
        deleted = client.get_state(store, "greeting")
        answer = client.invoke_method(
            callee, "orders/7", data=b'{"n":1}', content_type="application/json", http_verb="POST"
        )
    seen = {
        "id": metadata.application_id,
        "note": metadata.extended_metadata.get("sdk"),
        "saved": saved.text(),
        "deleted": deleted.text(),
        "answer": answer.text(),
    }
    print(json.dumps(seen))


main(*sys.argv[1:])
