"""Damage a file's bytes as disks, kills, editors and other programs do, each time the same for the same seed."""

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

Damage = Callable[[bytes, random.Random], bytes]

_ODD_BYTES = (b"\0", b"\xff", b"\xfe\xff", b"\xc3", b"\xed\xa0\x80", b"\n", b'"', b"{", b"9", b"-", b"\x1b[2J")
_ODD_JSON = (
    *("null", "true", "-1", "0", "1.5", "-0.0", "1e999", "NaN", "Infinity", "-Infinity", '""', '"x"', '"../../x"'),
    *("[]", "{}", "[[]]", '{"": null}', str(10**12), str(10**30), "9" * 5000, '"\\ud800"', '"\\u0000"', '"é"'),
    *("[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, f'"{"x" * 100_000}"', "[" * 100_000, "tru"),
)
_ODD_TOML = (
    *("-1", "0", "1.5", "nan", "-inf", "true", '""', "'x'", "[]", "{}", "[[1]]", "1979-05-27T07:32:00Z", "07:32:00"),
    *(str(10**12), str(10**30), "9" * 5000, "0x" + "f" * 50, '"\\u0000"', "{a = {b = 1}}", "[1, 'a', 2.5]", "1 2"),
    *("[" * 3000 + "]" * 3000, "[" * 40 + "]" * 40, "{a = " * 40 + "1" + "}" * 40, '"""', "'" + "x" * 100_000 + "'"),
)
_ODD_CELLS = ("", "nan", "inf", "-1", "1e400", "9" * 400, "x", '"', "a,b", "\t", "é", "\u202e", "1;2", "2019-99-99")


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut, overwrite, insert, drop, repeat or zero a part."""
    damaged = bytearray(content)
    place = rng.randrange(len(content) + 1)
    length = rng.choice([1, 1, 2, 8, 64, 512, 4096])
    match rng.randrange(8):
        case 0 | 1:
            for _ in range(rng.choice([1, 1, 1, 2, 8])):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        case 2:
            del damaged[place:]
        case 3:
            damaged[place : place + length] = rng.randbytes(length)
        case 4:
            damaged[place:place] = rng.choice(_ODD_BYTES) * rng.choice([1, 1, 3, 1000])
        case 5:
            del damaged[place : place + length]
        case 6:
            damaged[place:place] = damaged[max(0, place - length) : place]
        case 7:
            damaged[place : place + length] = bytes(min(length, len(damaged) - place))
    return bytes(damaged)


def damage_json(content: bytes, rng: random.Random) -> bytes:
    """Give one value of a JSON text another type or size, leave it out, rename it, or say it twice."""
    tree = json.loads(content)
    holder, key = rng.choice(list(_places(tree)))
    marker = "@damaged@"
    match rng.randrange(6):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(["", "x", key.upper(), key[1:]])] = holder.pop(key)
        case 2 if isinstance(holder, dict):
            holder[f"{key}{marker}"] = rng.choice([holder[key], None, 7])
            return json.dumps(tree).replace(marker, "").encode()
        case 3 if isinstance(holder, list):
            holder[:] = rng.choice([[], holder * 2, holder[1:]])
        case _:
            holder[key] = marker
    return json.dumps(tree).replace(f'"{marker}"', rng.choice(_ODD_JSON)).encode("utf-8", "surrogatepass")


def damage_lines(content: bytes, rng: random.Random) -> bytes:
    """Damage the JSON of one line, or repeat, drop or join lines."""
    lines = content.splitlines(keepends=True)
    index = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            lines.insert(index, rng.choice([b"\n", b"{}\n", b"null\n", lines[index], b"\0" * 512 + b"\n"]))
        case 1:
            lines[index] = lines[index].rstrip(b"\n")
        case _:
            lines[index] = damage_json(lines[index], rng) + b"\n"
    return b"".join(lines)


def damage_toml(content: bytes, rng: random.Random) -> bytes:
    """Give one setting another type or size, say it twice, or make its name a table."""
    lines = content.decode().splitlines()
    index = rng.choice([index for index, line in enumerate(lines) if re.match(r"\w+ = ", line)])
    name = lines[index].split(" = ")[0]
    match rng.randrange(6):
        case 0:
            lines.insert(index, lines[index])
        case 1:
            lines[index] = f"{name}.{'a.' * rng.choice([1, 30, 3000])}b = 1"
        case 2:
            lines[index] = f"[{name}]"
        case 3:
            lines[index] = rng.choice(["", name, f"{name}x = 1", f"{name} =", "[[a]]", "[a", f'"{name}" = 1'])
        case _:
            lines[index] = f"{name} = {rng.choice(_ODD_TOML)}"
    return "\n".join(lines).encode()


def damage_cells(content: bytes, rng: random.Random) -> bytes:
    """Put something else into one cell of a text with lines and columns."""
    parts = re.split(rb"([,\t \n]+)", content)
    index = rng.randrange(0, len(parts), 2)
    parts[index] = rng.choice(_ODD_CELLS).encode()
    return b"".join(parts)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every dict or list of a tree with each of its keys or indices."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)
