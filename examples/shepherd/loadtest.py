"""Load for Shepherd, by molotov: `molotov examples/shepherd/loadtest.py -p 2 -w 10 -d 60 -xv` ends with 0 failures.

SHEPHERD_URL is where Shepherd listens (http://127.0.0.1:5000), SHEPHERD_MODEL the model NAME:VERSION that the jobs are
for (echo:1.0, which is examples/shepherd/models/zeromq). With SHEPHERD_STORAGE_URL, SHEPHERD_ACCESS_KEY and
SHEPHERD_SECRET_KEY, jobs whose inputs lie in a bucket of their own come as well.
"""

import asyncio
import datetime
import hashlib
import hmac
import json
import os
import urllib.parse
import uuid

import molotov

URL = os.environ.get("SHEPHERD_URL", "http://127.0.0.1:5000")
NAME, _, VERSION = os.environ.get("SHEPHERD_MODEL", "echo:1.0").partition(":")
STORAGE_URL = os.environ.get("SHEPHERD_STORAGE_URL")
LARGE = "0123456789abcdef" * 2**16
# A worker of molotov that stops takes no more jobs, and waits for the one it has.
PATIENCE_SECONDS = 120


def start(payload, job_id):
    body = {"job_id": job_id, "model": {"name": NAME, "version": VERSION}}
    if payload is not None:
        body["payload"] = json.dumps(payload)
    return body


async def submit(session, payload, job_id=None):
    job_id = job_id or str(uuid.uuid4())
    async with session.post(f"{URL}/start-job", json=start(payload, job_id)) as answer:
        assert answer.status == 200, await answer.text()
        assert await answer.json() == {"success": True}
    return job_id


async def status_of(session, job_id):
    async with session.get(f"{URL}/jobs/{job_id}/status") as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def wait_ready(session, job_id):
    async with session.get(f"{URL}/jobs/{job_id}/wait_ready", timeout=PATIENCE_SECONDS) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def result_of(session, job_id):
    async with session.get(f"{URL}/jobs/{job_id}/result") as answer:
        if answer.status == 202:
            return None
        assert answer.status == 200, await answer.text()
        return json.loads(await answer.text())["result"]


@molotov.scenario(weight=40)
async def waits_for_its_job(session):
    job_id = await submit(session, {"input": "42"})
    assert (await status_of(session, job_id))["status"] in ("queued", "processing", "done")
    assert (await wait_ready(session, job_id))["status"] == "done"
    assert await result_of(session, job_id) == "42"


@molotov.scenario(weight=20)
async def asks_until_there_is_a_result(session):
    job_id = await submit(session, {"input": "ä, which is two bytes"})
    while (result := await result_of(session, job_id)) is None:
        await asyncio.sleep(0.01)
    assert result == "ä, which is two bytes"


@molotov.scenario(weight=5)
async def sends_a_megabyte(session):
    job_id = await submit(session, {"input": LARGE})
    assert (await wait_ready(session, job_id))["status"] == "done"
    assert await result_of(session, job_id) == LARGE


@molotov.scenario(weight=10)
async def has_a_job_that_fails(session):
    job_id = await submit(session, {"fail": "as it was told to"})
    status = await wait_ready(session, job_id)
    assert status["status"] == "failed", status
    assert "as it was told to" in status["error_details"]["message"], status
    async with session.get(f"{URL}/jobs/{job_id}/result") as answer:
        assert answer.status == 500, await answer.text()


@molotov.scenario(weight=10)
async def uses_an_id_twice(session):
    job_id = await submit(session, {"input": "42"})
    async with session.post(f"{URL}/start-job", json=start({"input": "43"}, job_id)) as answer:
        assert answer.status == 409, await answer.text()
    await wait_ready(session, job_id)
    assert await result_of(session, job_id) == "42"


@molotov.scenario(weight=5)
async def asks_for_what_is_not_there(session):
    for what in ("status", "result", "wait_ready"):
        async with session.get(f"{URL}/jobs/non-existent/{what}") as answer:
            assert answer.status == 400, await answer.text()


@molotov.scenario(weight=10)
async def looks_at_the_sheep(session):
    async with session.get(f"{URL}/status") as answer:
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["sheep"]


@molotov.scenario(weight=10 if STORAGE_URL else 0)
async def fills_a_bucket_first(session):
    job_id = str(uuid.uuid4())
    await put(session, f"/{job_id}", b"")
    await put(session, f"/{job_id}/inputs/input", json.dumps({"input": "42"}).encode())
    await submit(session, None, job_id)
    assert (await wait_ready(session, job_id))["status"] == "done"
    assert await result_of(session, job_id) == "42"


async def put(session, path, body):
    """Puts a bucket or an object, signed as S3 wants it (AWS Signature Version 4)."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": urllib.parse.urlsplit(STORAGE_URL).netloc,
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-date": now,
    }
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join(["PUT", path, "", *lines, "", names, headers["x-amz-content-sha256"]])
    scope = [now[:8], "us-east-1", "s3", "aws4_request"]
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = ("AWS4" + os.environ["SHEPHERD_SECRET_KEY"]).encode()
    for word in [*scope, "\n".join(["AWS4-HMAC-SHA256", now, "/".join(scope), digest])]:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    credential = f"{os.environ['SHEPHERD_ACCESS_KEY']}/{'/'.join(scope)}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    )
    async with session.put(STORAGE_URL + path, data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
