#!/usr/bin/env python3
"""Checks our COSE_Sign1 against pycose, an independent implementation. grpc/run makes its environment
(grpc/requirements.txt) and runs it.

  cose_check.py PROGRAM      PROGRAM is nmp_crypto_test: objects that it writes are verified with pycose.
  cose_check.py --generate   prints the objects that src/crypto/testdata/cose_pycose.txt holds.
"""

import hashlib
import os
import subprocess
import sys
import tempfile

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

TYP = 16  # RFC 9596
CASES = [  # name, seed byte, typ, kid is a peer ID, payload
    ("intent", 1, "application/nmp-intent-v1+cose", True, b"\xa1\x01\x01"),
    ("owner", 2, "application/nmp-owner-v1+cose", False, b""),
    ("receipt", 3, "application/nmp-receipt-v1+cose", True, bytes(range(256)) * 2),
]


def key_of(seed_byte):
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed_byte]) * 32)
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return OKPKey(crv=Ed25519, d=bytes([seed_byte]) * 32, x=public), public


def kid_of(public, is_peer):
    return bytes.fromhex("002408011220") + public if is_peer else hashlib.sha256(public).digest()


def generate():
    for name, seed_byte, typ, is_peer, payload in CASES:
        key, public = key_of(seed_byte)
        header = cbor2.dumps({1: -8, 4: kid_of(public, is_peer), TYP: typ}, canonical=True)
        message = Sign1Message(phdr_encoded=header, uhdr={}, payload=payload)
        message.key = key
        print(f"{name} = {message.encode(tag=True).hex()}")


def check(program):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cose.txt")
        environment = dict(os.environ, NMP_COSE_OUT=path)
        subprocess.run([program, "--gtest_filter=Cose.WritesObjectsForPycose"], env=environment, check=True)
        with open(path) as file:
            objects = dict(line.strip().split(" = ") for line in file)
    for name, seed_byte, typ, is_peer, payload in CASES:
        key, public = key_of(seed_byte)
        # Not Sign1Message.decode: cbor2 6 gives frozen values inside a tag, where pycose 1.1 wants a list and a dict.
        tagged = cbor2.loads(bytes.fromhex(objects[name]))
        assert tagged.tag == 18, name
        header, unprotected, body, signature = tagged.value
        parts = [header, dict(unprotected), body, signature]
        message = Sign1Message.from_cose_obj(parts, allow_unknown_attributes=True)
        message.key = key
        header = {getattr(k, "identifier", k): v for k, v in message.phdr.items()}
        assert message.verify_signature(), name
        assert message.payload == payload and not message.uhdr, name
        assert header[4] == kid_of(public, is_peer) and header[TYP] == typ, name
        print(f"ok {name}")


if len(sys.argv) != 2:
    sys.exit(__doc__)
generate() if sys.argv[1] == "--generate" else check(sys.argv[1])
