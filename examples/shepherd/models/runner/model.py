"""The same model with the runner protocol of this platform: HTTP over the socket that MORPHEO_RUNNER names.

It answers {"input": x} with {"result": x}, and fails where the input is {"fail": "why"}.
"""

import http.client
import json
import os
import pathlib
import socket
import traceback


class Worker(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["MORPHEO_RUNNER"])

    def ask(self, method, path, body=None):
        self.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        response = self.getresponse()
        text = response.read()
        return json.loads(text) if response.status == 200 else {}


def answer(payload):
    if "fail" in payload:
        raise ValueError(payload["fail"])
    return {"result": payload["input"]}


def process(inputs, outputs):
    files = sorted(path for path in pathlib.Path(inputs).rglob("*") if path.is_file())
    payload = json.loads(files[0].read_text())
    (pathlib.Path(outputs) / "output").write_text(json.dumps(answer(payload)))


worker = Worker("worker")
print("the model is loaded", flush=True)
while True:
    for call in worker.ask("GET", "/next").get("calls", []):
        done = {"id": call["id"], "ok": True}
        try:
            process(call["inputs"], call["outputs"])
        except Exception as error:
            text = traceback.format_exc()
            done |= {"ok": False, "message": str(error), "type": type(error).__name__, "traceback": text}
        worker.ask("POST", "/done", done)
