"""An app that tells what it saw of its sidecar, in its termination message:

    first   the outcome of its first statement, a call of the sidecar
    open    the outcome of a call of itself through the sidecar, which was open when SIGTERM came and takes WORK seconds more
    last    the outcomes of calls of the sidecar from SIGTERM to its own end
"""

import http.server
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request

WORK = 6  # longer than the 5 seconds that a sidecar gives open calls unless it is told otherwise


def seen(path, data=None):
    """The status of an answer, or the name of what came instead."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:3500/v1.0/" + path, data, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError as error:
        return type(error).__name__


told = {"first": seen("state/order/first"), "last": []}
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
entered, stopping = threading.Event(), threading.Event()


class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # /ready is Kubernetes' question; what else is asked for is the sidecar's.
        self.answer(503 if self.path == "/ready" and not entered.is_set() else 200)

    def do_POST(self):
        entered.set()
        stopping.wait()
        time.sleep(WORK)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def keep_a_call_open():
    while seen("healthz") != 204:
        time.sleep(0.2)
    told["open"] = seen(f"invoke/{os.environ['NAME']}/method/work", b"")


threading.Thread(target=http.server.ThreadingHTTPServer(("", 6000), App).serve_forever, daemon=True).start()
call = threading.Thread(target=keep_a_call_open, daemon=True)
call.start()
signal.sigwait({signal.SIGTERM})
stopping.set()
while call.is_alive():
    told["last"].append(seen("state/order/last"))
    time.sleep(0.2)
with open("/dev/termination-log", "w") as log:
    json.dump(told, log)
os._exit(0)  # at once: the interpreter's own end may crash on threads that still serve
