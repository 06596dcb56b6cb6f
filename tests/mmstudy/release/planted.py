"""Leaks of every kind, and files that look like them and are none; made from numbers, never kept as files.

Whatever would itself be found is put together here from parts, so that this file can be published.
"""

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import polars as pl
import torch
from safetensors.numpy import save

from catalog.fingerprints import Fingerprints
from catalog.identity import participant_key, sample_id
from mmbase.records import participant_number
from mmstudy.release.kinds import Kind
from mmstudy.release.people import People

SALT = "planted-" + "salt-of-a-study"
LABEL = "OAS30001"
EIDS = tuple(1_000_229 + 41_017 * number for number in range(60))
"""Of the study."""
KEYS = tuple(participant_key(SALT, eid) for eid in EIDS)
SAMPLES = tuple(sample_id(SALT, eid, 2) for eid in EIDS)
EID, SAMPLE, KEY = EIDS[7], SAMPLES[7], KEYS[9]
OTHER = 2_345_671
"""No participant's."""
RANDOM = np.random.default_rng(18)


def people() -> People:
    """The study's participants."""
    keys = frozenset({*KEYS, participant_key(SALT, participant_number(LABEL))})
    return People(SALT, Fingerprints(participants=keys, samples=frozenset(SAMPLES), sizes=frozenset({60, 48})))


class Leak(NamedTuple):
    """A file that must not be published."""

    name: str
    content: bytes
    kind: Kind
    needs_study: bool = True
    """Whether it can be known by fingerprint alone."""


def packed(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def table(columns: Mapping[str, Sequence[object]], separator: str = ",") -> bytes:
    lines = [separator.join(columns), *(separator.join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    return ("\n".join(lines) + "\n").encode()


def parquet(columns: Mapping[str, Sequence[object]]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(dict(columns)).write_parquet(file)
    return file.getvalue()


def arrow(columns: Mapping[str, Sequence[object]]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(dict(columns)).write_ipc(file)
    return file.getvalue()


def npy(array: np.ndarray, *, pickled: bool = False) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def notebook(*outputs: Mapping[str, object], attachments: Mapping[str, object] | None = None) -> bytes:
    code = {"cell_type": "code", "source": ["table.head()"], "outputs": list(outputs), "metadata": {}}
    text: dict[str, object] = {"cell_type": "markdown", "source": ["# Results"], "metadata": {}}
    if attachments:
        text["attachments"] = attachments
    return json.dumps({"cells": [text, code], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode()


def nifti() -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 32, 32, 32, 1, 1, 1, 1)
    header[344:348] = b"n+1\0"
    return bytes(header) + RANDOM.integers(0, 200, 32**3, dtype=np.uint8).tobytes()


def mgh() -> bytes:
    return struct.pack(">5i", 1, 32, 32, 32, 1) + struct.pack(">i", 0) + bytes(260 + 32**3)


def spreadsheet(columns: Mapping[str, Sequence[object]]) -> bytes:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    names = "".join(f"<si><t>{name}</t></si>" for name in columns)
    first = "".join(f'<c t="s"><v>{number}</v></c>' for number in range(len(columns)))
    rows = "".join(
        "<row>" + "".join(f'<c r="{"ABCDE"[place]}2"><v>{cell}</v></c>' for place, cell in enumerate(row)) + "</row>"
        for row in zip(*columns.values(), strict=True)
    )
    sheet = f"<worksheet {space}><sheetData><row>{first}</row>{rows}</sheetData></worksheet>"
    return packed(
        {
            "xl/workbook.xml": b"<workbook/>",
            "xl/sharedStrings.xml": f"<sst {space}>{names}</sst>".encode(),
            "xl/worksheets/sheet1.xml": sheet.encode(),
        }
    )


def database(folder: Path) -> Iterator[Leak]:
    with duckdb.connect(folder / "made.duckdb") as connection:
        connection.execute("CREATE TABLE participant (age INTEGER)")
    yield Leak("catalog.duckdb", (folder / "made.duckdb").read_bytes(), Kind.DATABASE, False)
    with sqlite3.connect(folder / "made.sqlite") as lite:
        lite.execute("CREATE TABLE participant (age INTEGER)")
    lite.close()
    yield Leak("results.db", (folder / "made.sqlite").read_bytes(), Kind.DATABASE, False)


AGES, SEXES, BMIS = [45 + n % 37 for n in range(60)], [n % 2 for n in range(60)], [20.5 + n % 13 for n in range(60)]
PAIRS = {"truth": AGES, "prediction": [age + 1.25 for age in AGES]}
TOKEN = "".join("aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fG3kL6"[:36])


def by_fingerprint() -> Iterator[Leak]:
    """Leaks that only the study can know."""
    eid = str(EID)
    yield Leak("notes.txt", f"We left out {eid}, whose scan moved.\n".encode(), Kind.EID)
    yield Leak("analysis.py", f"EXCLUDED = [{OTHER}, {eid}]\n".encode(), Kind.EID)
    yield Leak("merged.csv", f"key,x\n{OTHER}.0,1\n{eid}.0,2\n".encode(), Kind.EID)
    yield Leak("config.json", json.dumps({"worst": EID}).encode(), Kind.EID)
    yield Leak(f"figures/{eid}.svg", b"<svg/>", Kind.EID)
    yield Leak("excel.csv", f"key;x\r\n{eid};2\r\n".encode("utf-16"), Kind.EID)
    yield Leak("job.log", f"ERROR /data/{eid}/T1/T1.nii: no such file\n".encode(), Kind.EID)
    yield Leak("table.tex", f"{eid} & 63 & female \\\\\n".encode(), Kind.EID)
    yield Leak("plot.svg", f"<svg><text>{eid}</text></svg>".encode(), Kind.EID)
    yield Leak("exclude.yaml", f"exclude:\n  - {eid}\n".encode(), Kind.EID)
    yield Leak("README.md", f"See sub-{LABEL} for an example.\n".encode(), Kind.EID)
    yield Leak("far.bin", bytes(9_000_000) + f" {eid} ".encode() + bytes(100), Kind.EID)
    yield Leak("worst.txt", f"the worst is {SAMPLE}\n".encode(), Kind.SAMPLE_ID)
    yield Leak("worst.json", json.dumps({"worst": [SAMPLE]}).encode(), Kind.SAMPLE_ID)
    yield Leak("families.txt", f"{KEY} is related to nobody\n".encode(), Kind.SAMPLE_ID)
    text = f"left out: {eid}".encode()
    yield Leak("code.zip", packed({"src/a.py": b"a = 1", "notes.txt": text}), Kind.EID)
    yield Leak("code.tar.gz", tarred({"src/a.py": b"a = 1", "notes.txt": text}), Kind.EID)
    yield Leak("code.tar", tarred({f"src/{eid}/a.py": b"a = 1"}, "w"), Kind.EID)
    yield Leak("notes.txt.gz", gzip.compress(text), Kind.EID)
    yield Leak("notes.txt.bz2", bz2.compress(text), Kind.EID)
    yield Leak("notes.txt.xz", lzma.compress(text), Kind.EID)
    yield Leak("nested.tar.gz", tarred({"inner.zip": packed({"deep/notes.txt.gz": gzip.compress(text)})}), Kind.EID)
    yield Leak("whole.parquet", parquet({"x": EIDS[:3]}), Kind.EID)
    yield Leak("texts.parquet", parquet({"x": ["a", f"scan {eid}.nii"]}), Kind.EID)
    yield Leak("floats.parquet", parquet({"x": [0.5, float(EID), None]}), Kind.EID)
    yield Leak("ids.arrow", arrow({"x": [f"{number}" for number in range(40)] + [SAMPLE]}), Kind.SAMPLE_ID)
    yield Leak("order.npy", npy(np.array([EID, OTHER])), Kind.EID)
    yield Leak("order.npz", npz(order=np.array([OTHER, EID], dtype=np.int32)), Kind.EID)
    yield Leak("order.safetensors", save({"w": np.ones(3), "ids": np.array([EID])}), Kind.EID)
    yield Leak("sheet.xlsx", spreadsheet({"x": [1, EID, 3]}), Kind.EID)
    yield Leak("embeddings.csv", table({"dim_0": [0.01 * n for n in range(60)], "dim_1": [0.5] * 60}), Kind.ROWS)
    yield Leak("settings.py", f"KEY = '{SALT}'\n".encode(), Kind.SALT)


def by_shape() -> Iterator[Leak]:
    """Participants and rows that are known without a study."""
    made = str(OTHER)
    yield Leak("query.sql", b"SELECT * FROM t WHERE e" + f"id = {made}".encode(), Kind.EID_SHAPE, False)
    yield Leak("scans.txt", f"/data/{made}".encode() + b"_20252_2_0.zip\n", Kind.EID_SHAPE, False)
    yield Leak("ukb.bulk", f"{made}".encode() + b" 20252_2_0\n" * 2, Kind.EID_SHAPE, False)
    yield Leak("paths.py", b"PATH = 'sub" + f"-{made}/anat'".encode(), Kind.EID_SHAPE, False)
    yield Leak("w12345.csv", "".join(f"{eid + 1}\n" for eid in (*EIDS[:20], 4_999_999)).encode(), Kind.EID_SHAPE, False)
    yield Leak("ids.npy", npy(np.array([*EIDS[:9], 4_999_999]) + 1), Kind.EID_SHAPE, False)
    yield Leak("run.json", b'{"sample' + f'_id": "{SAMPLES[0][::-1]}"}}'.encode(), Kind.SAMPLE_ID, False)
    rows = {"eid": [eid + 1 for eid in EIDS], "age": AGES}
    yield Leak("pheno.csv", table(rows), Kind.ROWS, False)
    yield Leak("excel.txt", table(rows, "\t").decode().encode("utf-16"), Kind.ROWS, False)
    yield Leak("lines.json", b'{"subject": "S1", "age": 63}\n{"subject": "S2", "age": 64}\n', Kind.ROWS, False)
    yield Leak("pheno.csv.gz", gzip.compress(table(rows)), Kind.ROWS, False)
    yield Leak(
        "participants.tsv", table({"participant_id": [f"sub-{n:02}" for n in range(20)]}, "\t"), Kind.ROWS, False
    )
    yield Leak("ukb1234.tab", table({"f.eid": range(4), "f.31.0.0": [1, 0, 1, 1]}, "\t"), Kind.ROWS, False)
    yield Leak("ukb.csv", table({"x": range(4), "21003-2.0": [60, 61, 62, 63]}), Kind.ROWS, False)
    yield Leak("rap.csv", table({"x": range(4), "p21003_i2": [60, 61, 62, 63]}), Kind.ROWS, False)
    yield Leak("predictions.csv", table(PAIRS), Kind.ROWS, False)
    yield Leak("predictions.parquet", parquet(PAIRS), Kind.ROWS, False)
    yield Leak("features.csv", table({"age": AGES, "sex": SEXES, "bmi": BMIS}), Kind.ROWS, False)
    yield Leak("scores.csv", table({"age": AGES, "sex": SEXES, "score": BMIS, "wbc_count": BMIS}), Kind.ROWS, False)
    yield Leak("features.feather", arrow({"age": AGES, "sex": SEXES, "bmi": BMIS}), Kind.ROWS, False)
    yield Leak("features.xlsx", spreadsheet({"age": AGES, "sex": SEXES}), Kind.ROWS, False)
    records = [{"subject_id": f"S{n:03}", "age": age} for n, age in enumerate(AGES)]
    yield Leak("features.json", json.dumps(records).encode(), Kind.ROWS, False)
    yield Leak("columns.json", json.dumps({"age": AGES, "sex": SEXES}).encode(), Kind.ROWS, False)
    yield Leak("nested.json", json.dumps({"version": 1, "people": records}).encode(), Kind.ROWS, False)
    split = {"columns": ["age", "sex"], "index": list(range(60)), "data": list(zip(AGES, SEXES, strict=True))}
    yield Leak("split.json", json.dumps(split).encode(), Kind.ROWS, False)
    yield Leak("features.jsonl", "\n".join(map(json.dumps, records)).encode(), Kind.ROWS, False)
    lines = "".join(f"| S{n:03} | {age} |\n" for n, age in enumerate(AGES[:5]))
    yield Leak("results.md", f"# Results\n\n| subject | age |\n|---|---|\n{lines}".encode(), Kind.ROWS, False)
    cells = "".join(f"<tr><td>S{n:03}</td><td>{age}</td></tr>" for n, age in enumerate(AGES[:5]))
    page = f"<html><table><tr><th>patient_id</th><th>age</th></tr>{cells}</table></html>"
    yield Leak("results.html", page.encode(), Kind.ROWS, False)


def outputs() -> Iterator[Leak]:
    """What notebooks keep of data."""
    picture = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}}
    tabled = {"output_type": "execute_result", "data": {"text/html": ["<table><tr><td>63</td></tr></table>"]}}
    printed = {"output_type": "stream", "name": "stdout", "text": ["63 female\n"]}
    yield Leak("picture.ipynb", notebook(picture), Kind.NOTEBOOK, False)
    yield Leak("table.ipynb", notebook(tabled), Kind.NOTEBOOK, False)
    yield Leak("text.ipynb", notebook(printed), Kind.NOTEBOOK, False)
    yield Leak("attached.ipynb", notebook(attachments={"a.png": {"image/png": "iVBORw0KGgo="}}), Kind.NOTEBOOK, False)
    yield Leak(
        "old.ipynb", json.dumps({"worksheets": [{"cells": [{"outputs": [printed]}]}]}).encode(), Kind.NOTEBOOK, False
    )
    shown = json.dumps({"cells": [], "metadata": {"widgets": {"state": {"a": 1}}}}).encode()
    yield Leak("widgets.ipynb", shown, Kind.NOTEBOOK, False)
    yield Leak("page.html", b'<div class="jp-' + b'OutputArea-child">63</div>', Kind.NOTEBOOK, False)
    yield Leak("pandas.html", b'<table border="1" class="data' + b'frame"></table>', Kind.NOTEBOOK, False)


def images() -> Iterator[Leak]:
    """Images and arrays of single people."""
    volume = RANDOM.integers(0, 200, (24, 28, 24), dtype=np.uint8)
    yield Leak("T1.nii", nifti(), Kind.IMAGE, False)
    yield Leak("T1.nii.gz", gzip.compress(nifti()), Kind.IMAGE, False)
    yield Leak("renamed.dat", gzip.compress(nifti()), Kind.IMAGE, False)
    yield Leak("brain.mgz", gzip.compress(mgh()), Kind.IMAGE, False)
    yield Leak("scan", bytes(128) + b"DICM" + bytes(200), Kind.IMAGE, False)
    yield Leak("T1.nrrd", b"NRRD0004\ntype: float\n", Kind.IMAGE, False)
    yield Leak("T1.mha", b"ObjectType = Image\nNDims = 3\n", Kind.IMAGE, False)
    yield Leak("lh.gii", b'<?xml version="1.0"?>\n<GI' + b'FTI Version="1.0">', Kind.IMAGE, False)
    yield Leak("lh.pial", b"\xff\xff\xfecreated by somebody\n\n" + bytes(99), Kind.IMAGE, False)
    encoded = base64.b64encode(gzip.compress(nifti()))
    yield Leak("viewer.html", b'<script>load("' + encoded + b'")</script>', Kind.IMAGE, False)
    yield Leak("volume.npy", npy(volume), Kind.ARRAY, False)
    yield Leak("volumes.npz", npz(a=np.stack([volume, volume])), Kind.ARRAY, False)
    yield Leak("volume.safetensors", save({"t1": volume}), Kind.ARRAY, False)
    one = save({"t1.mean": volume, "t1.of-one": volume}, {"training_cohort": "{}"})
    yield Leak("cohort.safetensors", one, Kind.ARRAY, False)
    yield Leak("edges.npy", npy(np.zeros((4, 1485), dtype=np.float16)), Kind.ARRAY, False)
    yield Leak("data.h5", b"\x89HDF\r\n\x1a\n" + bytes(600), Kind.ARRAY, False)
    yield Leak("data.mat", b"MATLAB 5.0 MAT-file" + bytes(600), Kind.ARRAY, False)
    described = {"zarr_format": 3, "node_type": "array", "shape": [900, 64, 64, 64]}
    yield Leak("store/zarr.json", json.dumps(described).encode(), Kind.ARRAY, False)
    yield Leak("store/.zarray", json.dumps({"zarr_format": 2, "shape": [64, 64, 64]}).encode(), Kind.ARRAY, False)
    yield Leak("chr22.bed", b"\x6c\x1b\x01" + bytes(99), Kind.GENOTYPES, False)
    yield Leak("chr22.vcf.gz", gzip.compress(b"##fileformat=VCFv4.2\n"), Kind.GENOTYPES, False)


def programs() -> Iterator[Leak]:
    """Pickles, checkpoints, and files of other programs."""
    weights = {"conv.weight": torch.zeros(4, 1, 3, 3, 3)}
    state = {"state": {0: {"exp" + "_avg": torch.zeros(4)}}, "param_groups": []}
    yield Leak("model.pkl", pickle.dumps({"mean": 63.2, "values": list(range(99))}), Kind.PICKLE, False)
    yield Leak("cache.bin", pickle.dumps({"values": list(range(99))}), Kind.PICKLE, False)
    yield Leak("model.joblib", b"\x78\x9c" + bytes(50), Kind.PICKLE, False)
    yield Leak("model.pt", torch_file(weights), Kind.PICKLE, False)
    yield Leak("objects.npy", npy(np.array([{}, None], dtype=object), pickled=True), Kind.PICKLE, False)
    yield Leak("last.ckpt", torch_file({"weights": weights, "optim": state}), Kind.OPTIMISER, False)
    yield Leak("old.pkl", pickle.dumps({"exp" + "_avg": 1.0, "x": list(range(99))}), Kind.OPTIMISER, False)
    yield Leak("last.safetensors", save({"optimizer.0.exp" + "_avg": np.zeros(4)}), Kind.OPTIMISER, False)
    yield Leak("data.rds", gzip.compress(b"X\n\x00\x00\x00\x03" + bytes(50)), Kind.ROWS, False)
    yield Leak("data.RData", gzip.compress(b"RDX3\nX\n" + bytes(50)), Kind.ROWS, False)
    yield Leak("data.dta", b"<stata_dta><header>", Kind.ROWS, False)
    yield Leak("data.sav", b"$FL2@(#) SPSS DATA FILE", Kind.ROWS, False)


def secrets() -> Iterator[Leak]:
    """Salts, keys and tokens."""
    yield Leak("study/study.toml", b"schema_version = 1\nsa" + b'lt = "words-are-enough-here"\n', Kind.SALT, False)
    yield Leak("make.py", b"study(sa" + b'lt="9f86d081884c7d659a2feaa0c55ad015")', Kind.SALT, False)
    yield Leak("id_ed25519", b"-----BEGIN OPENSSH PRI" + b"VATE KEY-----\nb3BlbnNzaC1rZXk\n", Kind.SECRET, False)
    yield Leak("aws.env", b"AWS_ID=AK" + b"IAIOSFODNN7EXAMPLQ\n", Kind.SECRET, False)
    yield Leak("push.sh", b"git push https://gh" + f"p_{TOKEN}@github.com/a/b\n".encode(), Kind.SECRET, False)
    letters = "".join(character for character in TOKEN * 2 if character.isalpha())[:34]
    yield Leak("hub.py", b"login('h" + f"f_{letters}')\n".encode(), Kind.SECRET, False)
    yield Leak("mail.yml", b"pass" + f'word: "{TOKEN}"\n'.encode(), Kind.SECRET, False)
    yield Leak(".env", b"API_" + f"KEY={TOKEN}\n".encode(), Kind.SECRET, False)
    part = base64.b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    yield Leak("call.sh", f"curl -H 'Bearer {part}.{part}.{TOKEN}'\n".encode(), Kind.SECRET, False)
    yield Leak("environment.json", b'{"auth_' + f'token": "{TOKEN}"}}'.encode(), Kind.SECRET, False)


def unread() -> Iterator[Leak]:
    """Files that nobody can look into."""
    file = bytearray(packed({"a.csv": b"a"}))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        file[file.index(magic) + place] |= 1  # says that it has a password
    yield Leak("locked.zip", bytes(file), Kind.UNREAD, False)
    yield Leak("all.7z", b"7z\xbc\xaf\x27\x1c" + bytes(50), Kind.UNREAD, False)
    yield Leak("cut.csv.gz", gzip.compress(bytes(RANDOM.bytes(5000)))[:900], Kind.UNREAD, False)
    yield Leak("large.nii", b"version https://git-lfs.github.com/spec" + b"/v1\n", Kind.UNREAD, False)
    content = b"1"
    for _ in range(9):
        content = gzip.compress(content)
    yield Leak("deep.gz", content, Kind.UNREAD, False)


def leaks(folder: Path) -> list[Leak]:
    """Every leak.

    Parameters
    ----------
    folder
        In which files may be made.
    """
    made = (by_fingerprint(), by_shape(), outputs(), images(), programs(), secrets(), unread(), database(folder))
    return [leak for some in made for leak in some]


def look_alikes() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of files that may be published."""
    yield "phones.csv", table({"phone": ["5551234", "5559876", "2025550123", "5550001", "5550302", "5557123"]})
    yield "contact.md", b"Call 555 1234567 or +44 20 7946 0018, fax 2079460.\n"
    yield (
        "hashes.txt",
        b"d41d8cd98f00b204e9800998ecf8427e\nda39a3ee5e6b4b0d3255bfef95601890afd80709\ncbf29ce484222325\n",
    )
    yield "requirements.txt", b"numpy==2.1.0 --hash=sha256:" + b"0123456789abcdef" * 4 + b"\n"
    yield (
        "counts.csv",
        table({"age_group": ["45-54", "55-64", "65-74"], "sex": ["f", "f", "m"], "count": [1200, 2345671, 980]}),
    )
    rows = [f"{low}-{low + 1}" for low in range(45, 75)]
    yield "means.csv", table({"age": range(45, 75), "n": range(100, 130), "mean_bmi": [26.1] * 30, "sex": [1] * 30})
    yield "bins.csv", table({"bin": rows, "people": range(100, 130), "weight": range(60, 90)})
    names = ["age", "sex", "bmi", "weight", "Hb", "HDL", "LDL", "hba1c", "smoking", "asthma", "atopy"]
    yield "correlations.csv", table({"": names, **{name: [0.5] * len(names) for name in names}})
    yield (
        "results.csv",
        table({"target": names, "inputs": ["t1"] * 11, "mae": [3.2] * 11, "r2": [0.6] * 11, "n_test": [4000] * 11}),
    )
    yield "importance.csv", table({"model": [f"m{n}" for n in range(12)], "age": [0.1] * 12, "sex": [0.2] * 12})
    yield "sites.csv", table({"site": ["a", "b", "c"], "participants": [1200, 980, 3400]})
    yield "percentiles.csv", table({"group": ["f", "m"], "p05": [1.0, 2.0], "p50": [3.0, 4.0], "p95": [5.0, 6.0]})
    yield (
        "confusion.csv",
        table({"truth": [n // 4 for n in range(16)], "prediction": [n % 4 for n in range(16)], "n": [200] * 16}),
    )
    yield "positions.csv", table({"pos": [1_000_100 + 100 * n for n in range(30)], "ref": ["A"] * 30})
    yield "steps.txt", "".join(f"{1_000_000 + 1000 * n}\n" for n in range(20)).encode()
    yield "fields.csv", table({"field": [31, 21003, 20252], "name": ["sex", "age", "T1"]})
    yield "metrics.jsonl", b'{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.4}\n'
    yield "metrics.json", json.dumps({"target": "age", "n": {"train": 2345671}, "test": {"mae": 3.1}}).encode()
    yield "totals.parquet", parquet({"age_group": ["45-54", "55-64"], "count": [2_345_671, 980]})
    weights = {
        "conv": RANDOM.normal(size=(32, 1, 7, 7, 7)),
        "edges": np.zeros((2, 64_620)),
        "heads": np.zeros((8, 64, 64)),
    }
    yield "model.safetensors", save({**weights, "steps": np.array([OTHER])})
    yield "words.npy", npy(RANDOM.normal(size=(40, 300)))
    yield "bundle/golden/inputs.safetensors", save({"volume.t1": np.zeros((4, 32, 32, 32), np.uint8)})
    mean = np.zeros((24, 28, 24), np.float16)
    yield "bundle/cohort.safetensors", save({"t1.mean": mean, "t1.deviation": mean}, {"training_cohort": "{}"})
    yield "kernel.npy", npy(RANDOM.normal(size=(64, 32, 3, 3, 3)))
    yield "profile.npy", npy(RANDOM.normal(size=64_620))
    yield "grid.npy", npy(np.arange(1_000_000, 1_000_100))
    yield "clean.ipynb", notebook()
    yield (
        "page.html",
        b"<html><table><tr><th>group</th><th>people</th></tr><tr><td>f</td><td>1200</td></tr></table></html>",
    )
    yield "results.md", b"| model | mae |\n|---|---|\n| m1 | 3.1 |\n| m2 | 3.2 |\n"
    yield "how.md", b'Keep your salt secret: salt = "..." in study.toml. Never commit a PRIVATE KEY or password: ask.\n'
    yield (
        "code.py",
        b"token = os.environ['MM_TOKEN']\npassword = getpass()\nsalt: str = field(default_factory=make_salt)\n",
    )
    yield "lcg.js", b"const a=1664525,c=1013904223,m=1048576;x=(a*x+c)%m;\n"
    yield "path.svg", b'<path d="M12.1234567,34.7654321L0.2345671 1.2345671"/>'
    yield "picture.png", b"\x89PNG\r\n\x1a\n" + RANDOM.bytes(20_000)
    yield "doi.bib", b"doi = {10.1016/j.neuroimage.2024.120600}, pmid = {2345671}\n"
    yield "code.zip", packed({"src/a.py": b"eid = None\n", "data/counts.csv": b"sex,count\nf,1200\nm,1300\n"})
    yield "code.tar.gz", tarred({"src/a.py": b"print(1234567)\n"})
    yield "study.toml", b"[volumes]\nsides = [128, 64]\n"
    yield "empty.csv", b""
    yield "uuid.txt", b"123e4567-e89b-12d3-a456-426614174000 2026-11-28T14:44:33 1764340000\n"
