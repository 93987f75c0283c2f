"""A model with the original's runner protocol: it is told of a job over ZeroMQ, and finds its files in folders.

It answers {"input": x} with {"result": x}, and fails where the input is {"fail": "why"}.
"""

import argparse
import json
import pathlib
import traceback

import zmq


def answer(payload):
    if "fail" in payload:
        raise ValueError(payload["fail"])
    return {"result": payload["input"]}


def process(folder):
    files = sorted((folder / "inputs").iterdir())
    payload = json.loads(files[0].read_text())
    (folder / "outputs" / "output").write_text(json.dumps(answer(payload)))


def main(port):
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.bind(f"tcp://0.0.0.0:{port}")
    print("the model is loaded", flush=True)
    while True:
        sender, frame = socket.recv_multipart()
        message = json.loads(frame)["message"]
        reply = {"identity": "", "job_id": message["job_id"], "message_type": "DoneMessage"}
        try:
            process(pathlib.Path(message["io_data_root"], message["job_id"]))
        except Exception as error:
            reply |= {
                "message_type": "ErrorMessage",
                "message": f"{type(error).__name__}: {error}",
                "exception_type": str(type(error)),
                "exception_traceback": str(traceback.format_tb(error.__traceback__)),
            }
        socket.send_multipart([sender, json.dumps({"message": reply}).encode()])


# A bare sheep says the port, and which model it wants; in a container it is always the same.
arguments = argparse.ArgumentParser()
arguments.add_argument("-p", "--port", type=int, default=9999)
arguments.add_argument("model", nargs="?")
main(arguments.parse_args().port)
