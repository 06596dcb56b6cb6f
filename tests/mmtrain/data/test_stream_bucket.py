"""A study's stores in a bucket, served by moto, which is another program's idea of S3."""

import http.client
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from mmdata.errors import StoreError
from mmdata.store.array import open_array
from mmdata.store.location import parse_location
from mmdata.store.schema import AUGMENTED_DIMENSIONS, EDGE_DIMENSIONS, VOLUME_DIMENSIONS, StudyLayout
from mmdata.store.spec import ArraySpec, ensure_array
from mmtrain.data.stream import BatchRequest, open_stores, stream_batches

SIDE, ROWS, COPIES, EDGES = 8, 20, 2, 12
BUCKET, PREFIX = "cohort", "studies/one"
VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of an S3 server."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> StudyLayout:
    """A study on the local disk: t1 with copies, and connectivity."""
    layout = StudyLayout(tmp_path_factory.mktemp("study"))
    cube = (SIDE, SIDE, SIDE)
    for path, shape, dimensions in (
        (layout.volume_array("t1", SIDE), (ROWS, *cube), VOLUME_DIMENSIONS),
        (layout.augmented_array("t1", SIDE), (COPIES, ROWS, *cube), AUGMENTED_DIMENSIONS),
        (layout.connectivity_array("glasser360"), (ROWS, EDGES), EDGE_DIMENSIONS),
    ):
        row_axis = dimensions.index("sample")
        dtype = "float32" if dimensions == EDGE_DIMENSIONS else "uint16"
        ensure_array(
            ArraySpec(
                path=path,
                shape=shape,
                row_axis=row_axis,
                rows_per_shard=8,
                dtype=dtype,
                codec="zstd",
                dimensions=dimensions,
            )
        )
        values = np.random.default_rng(1).integers(0, 60000, shape).astype(dtype)
        for copy in range(COPIES) if row_axis else [None]:
            rows = values if copy is None else values[copy]
            for start in range(0, ROWS, 8):
                open_array(path).write_shard(start, rows[start : start + 8], copy=copy)
    return layout


@pytest.fixture
def bucket(server: str, layout: StudyLayout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a bucket that holds the study's stores; the environment says where it is and who may read it."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS", "1")  # read once, at the first request
    monkeypatch.setattr("mmdata.store.location.MAX_ATTEMPTS", 3)
    client = boto3.client("s3", endpoint_url=server, region_name="eu-west-2")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    for file in filter(Path.is_file, layout.root.rglob("*")):
        client.put_object(
            Bucket=BUCKET, Key=f"{PREFIX}/{file.relative_to(layout.root).as_posix()}", Body=file.read_bytes()
        )
    yield client
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    client.delete_bucket(Bucket=BUCKET)
    client.close()


def read_all(layout: StudyLayout) -> list[dict[str, np.ndarray]]:
    """Stream every row, from the volumes and from both copies, in batches of seven."""
    stores = open_stores(layout, ("t1", "connectivity"), side=SIDE, connectivity="glasser360", copies=None)
    assert stores.num_copies == COPIES
    order = np.random.default_rng(2).permutation(ROWS * (COPIES + 1))
    requests = [BatchRequest(part, part % ROWS, part // ROWS) for part in np.array_split(order, 9)]
    batches = stream_batches(stores, requests, prefetch_bytes=100_000)
    return [{name: tensor.numpy().copy() for name, tensor in batch.stored.items()} for batch in batches]


def elsewhere(layout: StudyLayout, stores: str = f"s3://{BUCKET}/{PREFIX}") -> StudyLayout:
    return replace(layout, stores=parse_location(stores))


def same(ones: list[dict[str, np.ndarray]], others: list[dict[str, np.ndarray]]) -> bool:
    return all(
        one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)
        for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.usefixtures("bucket")
def test_a_bucket_streams_the_same_batches_as_the_local_disk(layout: StudyLayout) -> None:
    assert same(read_all(elsewhere(layout)), read_all(layout))


def test_another_folder_streams_the_same_batches(layout: StudyLayout, tmp_path: Path) -> None:
    shutil.copytree(layout.root, tmp_path / "copy")
    assert same(read_all(elsewhere(layout, str(tmp_path / "copy"))), read_all(layout))


@pytest.mark.usefixtures("bucket")
def test_the_description_says_the_same_from_a_bucket(layout: StudyLayout) -> None:
    path = layout.volume_array("t1", SIDE)
    here, there = open_array(path), open_array(elsewhere(layout).located(path))
    assert (here.attributes, here.shape, here.dtype, here.rows_per_shard) == (
        there.attributes,
        there.shape,
        there.dtype,
        there.rows_per_shard,
    )
    with pytest.raises(StoreError, match="only read"):
        _ = there.path


def test_a_damaged_object_is_refused(bucket: Any, layout: StudyLayout) -> None:
    key = f"{PREFIX}/volumes.zarr/t1/{SIDE}/c/1/0/0/0"
    content = bytearray(bucket.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    content[100] ^= 1
    bucket.put_object(Bucket=BUCKET, Key=key, Body=bytes(content))
    with pytest.raises(StoreError, match=rf"s3://{BUCKET}/{PREFIX}/volumes\.zarr/t1/{SIDE} is damaged"):
        read_all(elsewhere(layout))


def test_a_missing_object_is_refused(bucket: Any, layout: StudyLayout) -> None:
    bucket.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/volumes.zarr/t1/{SIDE}/c/1/0/0/0")
    with pytest.raises(StoreError, match=rf"Row \d+ of t1/{SIDE} was never stored, or is gone from s3://{BUCKET}/"):
        read_all(elsewhere(layout))


def test_a_missing_array_is_refused_by_its_address(bucket: Any, layout: StudyLayout) -> None:
    bucket.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/volumes.zarr/t1/{SIDE}/zarr.json")
    with pytest.raises(StoreError, match=rf"There is no array s3://{BUCKET}/{PREFIX}/volumes\.zarr/t1/{SIDE}. Copy"):
        read_all(elsewhere(layout))


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("change", "stores", "message"),
    [
        ({}, "s3://another-one/studies", "s3://another-one cannot be read: there is no such bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "s3://cohort", "does not answer. See AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:1"}, "s3://cohort", "must begin with http"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "s3://cohort",
            "no credentials. Set AWS_ACCESS_KEY_ID",
        ),
    ],
)
def test_why_a_bucket_cannot_be_read_is_said_in_one_line(
    layout: StudyLayout, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], stores: str, message: str
) -> None:
    for variable, value in change.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(StoreError, match=message) as raised:
        read_all(elsewhere(layout, stores))
    assert "\n" not in str(raised.value)


@pytest.fixture
def moody(server: str, monkeypatch: pytest.MonkeyPatch, bucket: Any) -> Iterator["MoodyServer"]:
    """Put a server in front of the bucket that has its moods."""
    assert bucket
    front = MoodyServer(server)
    Thread(target=front.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{front.server_port}")
    yield front
    front.shutdown()
    front.server_close()


class MoodyServer(ThreadingHTTPServer):
    """Pass requests on, and let `mood` spoil answers: it gets the number of a request and says what becomes of it."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind = behind.removeprefix("http://")
        self.num_requests = 0
        self.asked: Counter[tuple[str, str | None]] = Counter()
        """How often for each object and range."""
        self.was_asked = Condition()
        self.mood: Callable[[int], str] = lambda _: "good"


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MoodyServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.path, self.headers.get("Range")
        with self.server.was_asked:
            self.server.num_requests += 1
            self.server.asked[wanted] += 1
            self.server.was_asked.notify_all()
            mood, before = self.server.mood(self.server.num_requests), self.server.asked[wanted]
            if mood == "slow":
                self.server.was_asked.wait_for(lambda: self.server.asked[wanted] > before, timeout=300)
        if mood in {"busy", "refused"}:
            self.answer(503 if mood == "busy" else 403, {}, b"")
            return
        connection = http.client.HTTPConnection(self.server.behind)
        connection.request(self.command, self.path, headers=dict(self.headers))
        answer = connection.getresponse()
        self.answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()

    do_HEAD = do_GET

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        try:
            self.send_response(status)
            for name in ("etag", "content-range", "last-modified", "x-amz-bucket-region"):
                if name in headers:
                    self.send_header(name, headers[name])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # nobody waits for it any more


@pytest.mark.parametrize("mood", ["busy", "slow"])
def test_a_request_that_fails_or_hangs_is_made_again(layout: StudyLayout, moody: MoodyServer, mood: str) -> None:
    moody.mood = lambda number: mood if number in (2, 9) else "good"
    assert same(read_all(elsewhere(layout)), read_all(layout))
    assert moody.num_requests > 9
    assert sum(moody.asked.values()) - len(moody.asked) >= 2


def test_refused_access_is_said_in_one_line(layout: StudyLayout, moody: MoodyServer) -> None:
    moody.mood = lambda _: "refused"
    with pytest.raises(StoreError, match=rf"s3://{BUCKET} cannot be read: access was refused. Set AWS_ACCESS_KEY_ID"):
        read_all(elsewhere(layout))


def test_a_server_that_stays_busy_is_given_up_in_one_line(layout: StudyLayout, moody: MoodyServer) -> None:
    moody.mood = lambda number: "busy" if number > 12 else "good"
    with pytest.raises(StoreError, match=rf"s3://{BUCKET} cannot be read: its server does not answer"):
        read_all(elsewhere(layout))
