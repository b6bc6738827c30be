#!/usr/bin/env python3
"""Python's grpcio against our servers, without generated stubs.

  python_client.py service HOST:PORT           against `nmp_grpc_interop server`
  python_client.py node HOST:PORT PEER_ID      against the [tcp] listener of a real node with the open capability log-scan
  python_client.py stream HOST:PORT PEER_ID    against such a node without [tcp], by a tunnel into libp2p streams

What it calls it learns by reflection; a node without [tcp] has none, so there it compiles proto/nmp/v1/nmp.proto.
On [tcp] the caller is the signer of the intent, so an intent made here is accepted. In a libp2p stream the caller is the
peer at the other end of the connection, the tunnel: the same intent must be refused.

One line a check; exit code 1 if any fails. Needs requirements.txt; ./run makes the environment.
"""

import hashlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import cbor2
import grpc
import grpc_tools.protoc
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

SECONDS = 20
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")


def fails_with(code, call, *arguments, **options):
    try:
        result = call(*arguments, **options)
        if not hasattr(result, "SerializeToString"):
            list(result)
    except grpc.RpcError as error:
        equal(error.code(), code, f"status ({error.details()})")
        return error
    raise AssertionError(f"no error, but wanted {code}")


def error_info(error):
    status = rpc_status.from_call(error)
    if status is None:
        raise AssertionError("no google.rpc.Status in the trailers")
    equal(status.code, error.code().value[0], "code of the details")
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    raise AssertionError("no ErrorInfo in the details")


class Peer:
    """Methods and message types of a server, by reflection or of `pool`."""

    def __init__(self, address, pool=None):
        self.channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 32 << 20)])
        grpc.channel_ready_future(self.channel).result(SECONDS)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = pool or descriptor_pool.DescriptorPool(self.database)

    def type(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def method(self, service, name):
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        make = getattr(self.channel, kind)
        stub = make(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        return lambda *arguments, **options: stub(*arguments, **{"timeout": SECONDS, **options})

    def reflect_v1(self, request):
        """v1 has v1alpha's messages under another path."""
        stub = self.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        return next(iter(stub(iter([request]), timeout=SECONDS)))


def check_reflection(peer, service):
    listed = sorted(peer.database.get_services())
    answer = peer.reflect_v1(reflection_pb2.ServerReflectionRequest(list_services=""))
    equal([one.name for one in answer.list_services_response.service], listed, "services of v1")
    if service not in listed:
        raise AssertionError(f"{service} is not among {listed}")
    for name in listed:
        descriptor = peer.pool.FindServiceByName(name)
        if not descriptor.methods:
            raise AssertionError(f"{name} has no methods")
    missing = peer.reflect_v1(reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol"))
    equal(missing.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0], "error code of an unknown symbol")


def check_health(peer, service):
    stub = health_pb2_grpc.HealthStub(peer.channel)
    for name in ("", service):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS)
        equal(answer.status, health_pb2.HealthCheckResponse.SERVING, f"health of {name!r}")
    unknown = health_pb2.HealthCheckRequest(service="no.such.Service")
    fails_with(grpc.StatusCode.NOT_FOUND, stub.Check, unknown, timeout=SECONDS)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
    equal(next(watch).status, health_pb2.HealthCheckResponse.SERVING, "watched health")
    watch.cancel()
    watch = stub.Watch(unknown, timeout=SECONDS)
    equal(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN, "watched health of an unknown service")
    watch.cancel()


TEST = "grpc.testing.TestService"


def service_checks(peer):
    simple, output = peer.type("grpc.testing.SimpleRequest"), peer.type("grpc.testing.StreamingOutputCallRequest")
    payload, status = peer.type("grpc.testing.Payload"), peer.type("grpc.testing.EchoStatus")
    parameters = peer.type("grpc.testing.ResponseParameters")
    unary, server_streaming = peer.method(TEST, "UnaryCall"), peer.method(TEST, "StreamingOutputCall")
    client_streaming, duplex = peer.method(TEST, "StreamingInputCall"), peer.method(TEST, "FullDuplexCall")
    sizes = [31415, 9, 2653, 58979]
    large = simple(response_size=314159, payload=payload(body=bytes(271828)))

    def check_unary():
        equal(peer.method(TEST, "EmptyCall")(peer.type("grpc.testing.Empty")()).ByteSize(), 0)
        equal(len(unary(large).payload.body), 314159)
        # More than both windows of HTTP/2's defaults, both ways.
        huge = simple(response_size=12 << 20, payload=payload(body=bytes(12 << 20)))
        equal(len(unary(huge).payload.body), 12 << 20)

    def check_gzip():
        squeezed = simple(response_size=314159, payload=payload(body=bytes(271828)))
        squeezed.response_compressed.value = True
        equal(len(unary(squeezed, compression=grpc.Compression.Gzip).payload.body), 314159)
        error = fails_with(grpc.StatusCode.UNIMPLEMENTED, unary, large, compression=grpc.Compression.Deflate)
        if "grpc-encoding" not in error.details():
            raise AssertionError(error.details())

    def check_streams():
        request = output(response_parameters=[parameters(size=size) for size in sizes])
        equal([len(one.payload.body) for one in server_streaming(request)], sizes)
        inputs = peer.type("grpc.testing.StreamingInputCallRequest")
        sent = [27182, 8, 1828, 45904]
        answer = client_streaming(iter([inputs(payload=payload(body=bytes(size))) for size in sent]))
        equal(answer.aggregated_payload_size, sum(sent))
        requests = [output(response_parameters=[parameters(size=size)]) for size in sizes]
        equal([len(one.payload.body) for one in duplex(iter(requests))], sizes)

    def check_deadline():
        slow = output(response_parameters=[parameters(size=1, interval_us=10_000_000)])
        started = time.monotonic()
        fails_with(grpc.StatusCode.DEADLINE_EXCEEDED, server_streaming, slow, timeout=0.2)
        if time.monotonic() - started > 8:
            raise AssertionError("the call outlived its deadline")
        equal(len(unary(large).payload.body), 314159, "a call after it")

    def check_cancel():
        slow = output(response_parameters=[parameters(size=9), parameters(size=9, interval_us=10_000_000)])
        call = server_streaming(slow)
        equal(len(next(call).payload.body), 9)
        call.cancel()
        equal(call.code(), grpc.StatusCode.CANCELLED)

    def check_metadata():
        sent = (("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"))
        stub = peer.channel.unary_unary(f"/{TEST}/UnaryCall", request_serializer=lambda message: message.SerializeToString())
        _, single = stub.with_call(large, timeout=SECONDS, metadata=sent)
        stream = duplex(iter([output()]), metadata=sent)
        list(stream)
        for call in (single, stream):
            equal(dict(call.initial_metadata()).get(sent[0][0]), sent[0][1], "initial metadata")
            equal(dict(call.trailing_metadata()).get(sent[1][0]), sent[1][1], "trailing metadata")

    def check_status():
        for message in ("test status message", SPECIAL):
            request = simple(response_status=status(code=2, message=message))
            equal(fails_with(grpc.StatusCode.UNKNOWN, unary, request).details(), message)
        fails_with(grpc.StatusCode.UNIMPLEMENTED, peer.method(TEST, "UnimplementedCall"), peer.type("grpc.testing.Empty")())

    def check_error_details():
        error = fails_with(grpc.StatusCode.FAILED_PRECONDITION, unary, large, metadata=(("x-nmp-test-reason", "session_unknown"),))
        info = error_info(error)
        equal((info.reason, info.domain), ("session_unknown", "nmp"))
        equal(error.details(), "with \u00e9 details")

    def check_many():
        failures = []

        def one():
            try:
                for _ in range(20):
                    equal(len(unary(simple(response_size=5000)).payload.body), 5000)
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    return [
        ("reflection", lambda: check_reflection(peer, TEST)),
        ("health", lambda: check_health(peer, TEST)),
        ("unary", check_unary),
        ("gzip", check_gzip),
        ("streams", check_streams),
        ("deadline", check_deadline),
        ("cancel", check_cancel),
        ("metadata", check_metadata),
        ("status", check_status),
        ("error_details", check_error_details),
        ("concurrent_calls", check_many),
    ]


MESH = "nmp.v1.NeuralMesh"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PEER_PREFIX = bytes.fromhex("002408011220")


def base58(data):
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = BASE58[digit] + out
    return BASE58[0] * (len(data) - len(data.lstrip(b"\0"))) + out


def peer_bytes(text):
    """The 38 bytes of an Ed25519 peer ID."""
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    return number.to_bytes(38, "big")


def compiled():
    """The pool of our contract's file."""
    folder = Path(__file__).resolve().parents[3] / "proto"
    with tempfile.TemporaryDirectory() as out:
        file = Path(out) / "set"
        words = ["protoc", f"--proto_path={folder}", "--include_imports", f"--descriptor_set_out={file}", "nmp/v1/nmp.proto"]
        if grpc_tools.protoc.main(words) != 0:
            raise AssertionError("protoc failed")
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    return pool


def intent_request(peer, node, spoil=None):
    """An intent for log-scan by a new agent (intent.cddl), signed with pycose."""
    seed = os.urandom(32)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    agent, now = PEER_PREFIX + public, int(time.time())
    intent = {
        1: 1, 2: node, 3: agent, 4: "run", 5: "log-scan", 6: hashlib.sha256(b"a module").digest(), 7: os.urandom(32), 8: None,
        9: {1: 1 << 20}, 10: [1], 11: x25519.X25519PrivateKey.generate().public_key().public_bytes_raw(), 12: os.urandom(32),
        13: now, 14: now + 60, 15: "signed", 16: None, 17: None,
    }  # fmt: skip
    header = cbor2.dumps({1: -8, 4: agent, 16: "application/nmp-intent-v1+cose"}, canonical=True)
    message = Sign1Message(phdr_encoded=header, uhdr={}, payload=cbor2.dumps(intent, canonical=True))
    message.key = OKPKey(crv=Ed25519, d=seed, x=public)
    signed = message.encode(tag=True)
    return peer.type("nmp.v1.IntentRequest")(
        agent_did="did:key:z" + base58(b"\xed\x01" + public), capability_hash="log-scan",
        proof_of_intent=spoil(signed) if spoil else signed,
    )  # fmt: skip


def mesh_checks(peer, node, in_stream):
    negotiate, request = peer.method(MESH, "NegotiateIntent"), peer.type("nmp.v1.IntentRequest")

    def refused(code, reason, call, *arguments):
        info = error_info(fails_with(code, call, *arguments))
        equal((info.domain, info.reason), ("nmp", reason), "ErrorInfo")

    def refuses(make):
        return lambda: refused(grpc.StatusCode.UNAUTHENTICATED, "intent_refused", negotiate, make())

    def check_intent():
        asked = intent_request(peer, node)
        if in_stream:
            return refused(grpc.StatusCode.PERMISSION_DENIED, "agent_mismatch", negotiate, asked)
        answer = negotiate(asked)
        equal((answer.accepted, len(answer.session_token), len(answer.kyber_public_key)), (True, 43, 1184))
        equal(cbor2.loads(answer.answer).tag, 18, "tag of the answer")
        refused(grpc.StatusCode.ALREADY_EXISTS, "replayed", negotiate, asked)

    def check_token():
        unknown = peer.type("nmp.v1.LogicRequest")(session_token="A" * 43, aes_nonce=bytes(12))
        refused(grpc.StatusCode.UNAUTHENTICATED, "session_unknown", peer.method(MESH, "ExecuteLogic"), unknown)

    def check_watch():
        error = fails_with(grpc.StatusCode.UNIMPLEMENTED, peer.method(MESH, "ReadAudit"), peer.type("nmp.v1.ReadAuditRequest")())
        equal(error_info(error).reason, "not_available")

    def check_too_large():
        fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, negotiate, request(proof_of_intent=bytes(48 << 10)))

    return [
        ("empty_intent_is_refused", refuses(request)),
        ("malformed_intent_is_refused", refuses(lambda: request(proof_of_intent=b"\xd2\x84no intent"))),
        ("spoilt_signature_is_refused", refuses(lambda: intent_request(peer, node, lambda s: s[:-1] + bytes([s[-1] ^ 1])))),
        ("signed_intent", check_intent),
        ("unknown_session_is_refused", check_token),
        ("watch_is_not_there_yet", check_watch),
        ("too_large_intent_is_refused", check_too_large),
    ]


def node_checks(peer, node):
    return [
        ("reflection", lambda: check_reflection(peer, MESH)),
        ("health", lambda: check_health(peer, MESH)),
        *mesh_checks(peer, node, in_stream=False),
    ]


def stream_checks(peer, node):
    def check_no_reflection():
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        fails_with(grpc.StatusCode.UNIMPLEMENTED, peer.reflect_v1, ask)
        check = health_pb2_grpc.HealthStub(peer.channel).Check
        fails_with(grpc.StatusCode.UNIMPLEMENTED, check, health_pb2.HealthCheckRequest(), timeout=SECONDS)

    def check_probation():
        """A stranger's connection is closed after 10 s; the next one serves."""
        states = []
        peer.channel.subscribe(states.append)
        time.sleep(11)
        if not set(states) - {grpc.ChannelConnectivity.READY}:
            raise AssertionError("the connection outlived its probation")
        error = fails_with(
            grpc.StatusCode.UNAUTHENTICATED, peer.method(MESH, "NegotiateIntent"),
            peer.type("nmp.v1.IntentRequest")(), wait_for_ready=True)  # fmt: skip
        equal(error_info(error).reason, "intent_refused")

    return [
        *mesh_checks(peer, node, in_stream=True),
        ("no_reflection_nor_health", check_no_reflection),
        ("calls_after_probation_ended", check_probation),
    ]


MODES = {"service": (1, service_checks), "node": (2, node_checks), "stream": (2, stream_checks)}


def main():
    mode, *arguments = sys.argv[1:] or [""]
    if mode not in MODES or len(arguments) != MODES[mode][0]:
        print(__doc__, file=sys.stderr)
        return 2
    failed = False
    peer = Peer(arguments[0], compiled() if mode == "stream" else None)
    for name, check in MODES[mode][1](peer, *map(peer_bytes, arguments[1:])):
        try:
            check()
            print(f"{name}\tok", flush=True)
        except Exception as error:  # noqa: BLE001
            failed = True
            print(f"{name}\tFAILED: {type(error).__name__} {' '.join(str(error).split())[:400]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
