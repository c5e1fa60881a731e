"""Damage to the bytes of a file, as disks, downloads and editors do it."""

import io
import random
import zipfile


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """Return a file with a few bytes changed, removed, repeated or put in, or cut short."""
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        kind = rng.randrange(6)
        if kind == 0 and content:
            content[at % len(content)] = rng.randrange(256)
        elif kind == 1:
            del content[at : at + rng.randint(1, 20)]
        elif kind == 2:
            content[at:at] = content[at : at + rng.randint(1, 60)]
        elif kind == 3:
            content[at:at] = rng.choice([b"\t", b",", b'"', b"\n", b"\r", b"\0", b"\xff", b"#", b";", b"-", b"1e999"])
        elif kind == 4:
            del content[at:]
        elif content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
    return bytes(content)


def mutated_archive(whole: bytes, rng: random.Random) -> bytes:
    """Return a zip archive (.npz, .keras) that is damaged itself, or in one of its members with the right checksum."""
    if rng.random() < 0.3:
        return mutated(whole, rng)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(made, "w") as target:
        chosen = rng.choice(source.namelist())
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, mutated(content, rng) if name == chosen else content)
    return made.getvalue()
