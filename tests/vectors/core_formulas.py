#!/usr/bin/env python3
"""Computes core_formulas.txt: the formulas of the security sheet ("Envelope, suite 1", "Commitments hide"), written down a second
time with nothing but hashlib and hmac, apart from the C++ code. Trees are built recursively as in RFC 9162 section 2.1.1.

    python3 tests/vectors/core_formulas.py > tests/vectors/core_formulas.txt
"""
import hashlib
import hmac


def H(b):
    return hashlib.sha256(b).digest()


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | code]) + n.to_bytes(size, "big")


def cbor(v):
    if v is True or v is False:
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(map(cbor, v))
    if isinstance(v, dict):
        pairs = sorted((cbor(k), cbor(x)) for k, x in v.items())
        return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)
    raise TypeError(v)


def u64(n):
    return n.to_bytes(8, "big")


def tree(leaves):
    if not leaves:
        return H(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return H(b"\x01" + tree(leaves[:k]) + tree(leaves[k:]))


def file_root(key, path, data):
    leaves = []
    for i in range(0, len(data), 1024):
        salt = hmac.new(key, path + u64(i // 1024), hashlib.sha256).digest()
        leaves.append(H(b"\x00" + salt + u64(i // 1024) + data[i : i + 1024]))
    return H(cbor(["nmp/v1/file", path, len(data), tree(leaves)]))


def dataset(key, name, version, files):
    roots = [file_root(key, path, files[path]) for path in sorted(files)]
    return H(cbor(["nmp/v1/dataset", name, version, len(roots), tree(roots)]))


def pattern(n):
    return bytes((i * 7 + i // 251) % 256 for i in range(n))


def show(name, value):
    print(name, value.hex())


key = bytes(range(32))
for size in (0, 1, 1023, 1024, 1025, 2048, 3072, 5000, 7169, 100000):
    show(f"file.{size}", file_root(key, b"dir/file.csv", pattern(size)))
for count in (0, 1, 2, 3, 5, 8, 13):
    files = {b"f%d" % i: pattern(i * 700) for i in range(count)}
    show(f"dataset.{count}", dataset(key, "logs", 3, files))

salt = bytes([0xA5]) * 32
show("inputs", H(cbor(["nmp/v1/inputs", salt, {"pin": b"1234", "a-name": b"", "level": b"error"}])))
show("evidence", H(cbor(["nmp/v1/evidence", salt, pattern(300)])))
answer = H(b"answer")
c = H(cbor(["nmp/v1/events", salt, answer]))
show("events.0", c)
for seq, event in enumerate((b"one", b"", pattern(2000))):
    c = H(c + u64(seq) + H(event))
    show(f"events.{seq + 1}", c)

th = H(cbor(["nmp/v1/transcript", b"intent bytes", b"answer bytes"]))
show("transcript", th)
prk = hmac.new(th, bytes([0x11]) * 32 + bytes([0x22]) * 32, hashlib.sha256).digest()
ciphertext = bytes([0x33]) * 1088
for direction in (0, 1):
    for run in (0, 1, 4294967295):
        info = cbor(["nmp/v1/key", direction, H(ciphertext), run])
        show(f"key.{direction}.{run}", hmac.new(prk, info + b"\x01", hashlib.sha256).digest())
try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    raise SystemExit("needs the Python package cryptography for the box vectors")
k = hmac.new(prk, cbor(["nmp/v1/key", 0, H(ciphertext), 1]) + b"\x01", hashlib.sha256).digest()
method = "/nmp.v1.NeuralMesh/ExecuteLogic"
for seq, field, final, text in ((0, 2, False, b"module"), (1, 16, True, b"inputs")):
    aad = cbor(["nmp/v1/aad", th, 0, 1, method, field, seq, final])
    show(f"box.{seq}", AESGCM(k).encrypt(bytes(4) + u64(seq), text, aad))
