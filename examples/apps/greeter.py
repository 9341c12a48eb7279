"""greeter: answers other apps, and hosts actors of type Counter.

The sidecar calls this server; nothing else does. What it calls:

    POST   /hello                               somebody invoked our method `hello`
    GET    /dapr/config                         at start: which actor types do you host?
    PUT    /actors/Counter/<id>/method/<name>   a call of one actor; never two at a time for one id
    DELETE /actors/Counter/<id>                 the actor is idle, or moves away: forget it
    GET    /healthz                             are you well?
"""

import json
import os
import socket
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIDECAR = f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', '3500')}/v1.0"
ME = socket.gethostname()  # the pod's name: shows which replica answered


def actor_state(actor):
    """The counter's saved value; 0 for an actor that has never saved one."""
    with urllib.request.urlopen(f"{SIDECAR}/actors/Counter/{actor}/state/count", timeout=10) as reply:
        text = reply.read()
        return json.loads(text) if text else 0  # 204 without a body: nothing saved yet


def save_actor_state(actor, count):
    """Saves the value as one transaction. State belongs to the actor, not to the replica that happens to host it."""
    transaction = [{"operation": "upsert", "request": {"key": "count", "value": count}}]
    request = urllib.request.Request(
        f"{SIDECAR}/actors/Counter/{actor}/state",
        data=json.dumps(transaction).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def increment(actor):
    count = actor_state(actor) + 1
    save_actor_state(actor, count)
    return {"actor": actor, "count": count, "served_by": ME}


class Greeter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/dapr/config":
            self.answer(200, {"entities": ["Counter"], "actorIdleTimeout": "1h", "drainOngoingCallTimeout": "10s"})
        elif self.path == "/healthz":
            self.answer(200, {})
        else:
            self.answer(404, {"error": f"nothing at {self.path}"})

    def do_POST(self):
        if self.path == "/hello":
            name = self.body().get("name", "stranger")
            # The sidecar says who calls: it has read that in the caller's certificate.
            caller = self.headers.get("dapr-caller-app-id")
            self.answer(200, {"greeting": f"Hello, {name}!", "called_by": caller, "served_by": ME})
        else:
            self.answer(404, {"error": f"no method at {self.path}"})

    def do_PUT(self):
        self.body()
        match self.path.split("/"):
            case ["", "actors", "Counter", actor, "method", "increment"]:
                self.answer(200, increment(actor))
            case _:
                self.answer(404, {"error": f"no actor method at {self.path}"})

    def do_DELETE(self):
        self.answer(200, {})  # we keep nothing in memory, so there is nothing to forget

    def body(self):
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return json.loads(text) if text else {}

    def answer(self, status, value):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    print(f"greeter {ME} listens on 6000", flush=True)
    ThreadingHTTPServer(("0.0.0.0", 6000), Greeter).serve_forever()
