"""caller: what a person talks to. It knows no other app, no Redis and no secret: it talks to its sidecar.

    GET    /greet?name=Ada             invoke the method `hello` of the app `greeter`
    PUT    /notes/<key>                save the body in the state store
    GET    /notes/<key>                read it back
    DELETE /notes/<key>                forget it
    POST   /count?actors=100           call that many Counter actors, say which replica of greeter served each
    GET    /healthz                    are you well?

`?store=scratch` makes /notes use another state store than `statestore`.
"""

import json
import os
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

SIDECAR = f"http://127.0.0.1:{os.environ.get('DAPR_HTTP_PORT', '3500')}/v1.0"


def sidecar(method, path, value=None):
    """One call of the sidecar's HTTP API: its status and its reply. 503 if the sidecar cannot be reached."""
    data = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(SIDECAR + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, parse(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, parse(error.read())
    except OSError as error:
        return 503, {"error": f"no sidecar at {SIDECAR}: {error}"}


def parse(text):
    """JSON if it is JSON, else the text itself; None if empty."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text.decode(errors="replace")


def greet(name):
    # Which pod greeter runs in, and that the way there is encrypted and checked on both ends, is not our business.
    return sidecar("POST", "/invoke/greeter/method/hello", {"name": name})


def save(store, key, value):
    return sidecar("POST", f"/state/{store}", [{"key": key, "value": value}])


def read(store, key):
    return sidecar("GET", f"/state/{store}/{quote(key)}")


def forget(store, key):
    return sidecar("DELETE", f"/state/{store}/{quote(key)}")


def count(actors):
    """Calls actors 0..n, some at a time. For one id there is one actor at a time, on one replica of greeter."""

    def increment(actor):
        return sidecar("POST", f"/actors/Counter/{actor}/method/increment")

    with ThreadPoolExecutor(max_workers=8) as pool:
        replies = dict(enumerate(pool.map(increment, range(actors))))
    served = {actor: reply for actor, (status, reply) in replies.items() if status == 200}
    failed = {actor: {"status": status, "reply": reply} for actor, (status, reply) in replies.items() if status != 200}
    return 502 if failed else 200, {
        "actors": actors,
        "replicas": Counter(reply["served_by"] for reply in served.values()),
        "served_by": {actor: reply["served_by"] for actor, reply in served.items()},
        "counts": {actor: reply["count"] for actor, reply in served.items()},
        "failed": failed,
    }


class Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_request(self):
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            status, value = self.route(url.path.strip("/").split("/"), query, text)
        except ValueError as error:
            status, value = 400, {"error": str(error)}
        self.answer(status, value)

    do_GET = do_PUT = do_POST = do_DELETE = handle_request

    def route(self, path, query, text):
        store = query.get("store", "statestore")
        match (self.command, *path):
            case ("GET", "greet"):
                return greet(query.get("name", "stranger"))
            case ("PUT", "notes", key):
                return save(store, key, text)
            case ("GET", "notes", key):
                return read(store, key)
            case ("DELETE", "notes", key):
                return forget(store, key)
            case ("POST", "count"):
                return count(int(query.get("actors", "100")))
            case ("GET", "healthz"):
                return 200, {}
            case _:
                return 404, {"error": f"nothing at {self.command} {self.path}"}

    def answer(self, status, value):
        text = b"" if status == 204 else json.dumps(value, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    print("caller listens on 8080", flush=True)
    ThreadingHTTPServer(("0.0.0.0", 8080), Caller).serve_forever()
