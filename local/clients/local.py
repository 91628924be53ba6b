"""What the tests of both Python clients need besides the client: the API's address and a
TOKEN; downloads and uploads, which are requests to plain links; the contract's
examples; and a stand-in of the gateway in front of the API."""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import threading
import urllib.request

from ruamel.yaml import YAML

API, TOKEN = os.environ["API"], os.environ["TOKEN"]
CONTRACT = YAML(typ="safe").load(pathlib.Path(__file__).parents[2] / "openapi.yaml")


def download(url):
    """Returns the bytes behind a lasting link."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def put(url, data, headers):
    """Uploads data to an uploadUrl."""
    request = urllib.request.Request(url, data=data, headers=headers, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


@contextlib.contextmanager
def refusing(what):
    """Sets the simulator's switch: it refuses or fails requests in this way."""

    def switch(refuse):
        put(os.environ["SIMULATOR"], json.dumps({"loseCallbacks": False, "repeatCallbacks": 1, "refuse": refuse, "slow": False}).encode(),
            {"Content-Type": "application/json"})

    switch(what)
    try:
        yield
    finally:
        switch("")


@contextlib.contextmanager
def gateway(status):
    """The address of a gateway that answers everything with this status, by itself."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"message":"Service Unavailable"}')

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def notices():
    """Yields the schema of each webhook's body, by name, with each of its examples."""
    for hook in CONTRACT["webhooks"].values():
        body = hook["post"]["requestBody"]["content"]["application/json"]
        for example in body["examples"].values():
            yield name(body["schema"]), CONTRACT["components"]["examples"][name(example)]["value"]


def name(reference):
    return reference["$ref"].rsplit("/", 1)[1]
