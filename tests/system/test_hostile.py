"""Hostile modules against one real node: each ends alone, for a named reason, and the next honest call is answered."""
import time
import unittest

import wasm
from mesh import FILTERS, MeshTest

RSS_GROWTH_MAX = 24 << 20
# What the cache of compiled modules may hold comes on top.
RSS_GROWTH_COMPILED_MAX = RSS_GROWTH_MAX + (128 << 20)
# What one module may keep the node busy, compiling included.
CALL_SECONDS = 40
# Refused before it runs.
REFUSED = (3,)
# Refused for its size, after all of it has travelled.
LARGE = wasm.byte_module([wasm.body()]) + wasm.custom("x", bytes(4 << 20))


class Hostile(MeshTest):
    def setUp(self):
        super().setUp()
        data = self.dataset(files={"app.log": "INFO start\nERROR disk full\n"})
        secret = self.folder / "secret"
        secret.write_text("the secret")
        for link, target in {"up": "../secret", "absolute": str(secret), "root": "/", "proc": "/proc/self/environ",
                             "magic": "/proc/self/root", "loop": "loop", "parent": "..", "device": "/dev/zero"}.items():
            (data / link).symlink_to(target)
        self.slowest = 0
        self.server = self.node("node", self.capability(data, memory="16MiB", fuel=10**15, wall_time="10s", events=100, output="64KiB"))

    def call(self, module, *arguments):
        file = self.folder / "hostile.wasm"
        file.write_bytes(module if isinstance(module, bytes) else wasm.wat(self.folder, module))
        started = time.monotonic()
        code, lines, errors = self.agent("run", "log-scan", file, "--node", self.server.address, "--timeout", f"{CALL_SECONDS}s", *arguments,
                                         timeout=CALL_SECONDS + 20)
        self.assertTrue(lines, errors)
        self.slowest = max(self.slowest, time.monotonic() - started)
        return code, lines[-1], errors

    def honest(self):
        lines = self.run_ok("log-scan", FILTERS / "log_scan.wasm", "--node", self.server.address, "--input", "args=--level\nERROR")
        self.assertIn("ERROR", lines[-1]["evidence"])

    def warm_up(self):
        """The honest filter is compiled, and every thread and buffer of a call, a large one too, has been there."""
        self.honest()
        self.call(LARGE)
        self.honest()
        return self.server.rss_bytes()

    def all_end_with(self, exit_codes, cases):
        """Each case: its name, the reason, the module, and arguments of the call. Without a reason the run ends well."""
        before = self.warm_up()
        for name, reason, module, *arguments in cases:
            with self.subTest(name):
                code, last, errors = self.call(module, *arguments)
                if reason is None:
                    self.assertEqual(code, 0, f"{last} {errors[-500:]}")
                else:
                    self.assertEqual(last.get("reason"), reason, f"{last} {errors[-500:]}")
                    self.assertIn(code, exit_codes)
                self.honest()
        self.settles(before)

    def settles(self, before, limit=RSS_GROWTH_MAX):
        self.assertIsNone(self.server.process.poll(), self.server.log_text())
        deadline = time.monotonic() + 10
        while (growth := self.server.rss_bytes() - before) >= limit and time.monotonic() < deadline:
            time.sleep(0.25)
        print(f"\n{self.id().rsplit('.', 1)[1]}: {before / 2**20:.1f} MiB + {growth / 2**20:.1f}, slowest call {self.slowest:.1f} s")
        self.assertLess(growth, limit, "the node keeps what hostile modules took")

    def test_guests_that_take_too_much(self):
        module = wasm.text_module
        grow = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) "
        touch = """(local $at i32)
            (loop $l (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then
              (local.set $at (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536)))
              (memory.fill (local.get $at) (i32.const 0xa5) (i32.const 65536)) (br $l)))) unreachable"""
        many_locals = ("(func $f (param i64)" + "(local i64)" * 1000
                       + "".join(f"(local.set {i} (i64.add (local.get 0) (i64.const {i})))" for i in range(1, 1000)) + "(call $f (local.get 999))"
                       + "".join(f"(drop (i64.add (local.get {i}) (local.get 0)))" for i in range(1, 1000)) + ")")
        self.all_end_with((1,), [
            ("a loop, by fuel", "fuel_exhausted", module("(loop $l (br $l))"), "--fuel", "50000000"),
            ("a loop, by time", "wall_time", module("(loop $l (br $l))"), "--wall-time", "500ms"),
            ("a sleeper", "wall_time", module("(drop (call $wait (i64.const 3600000000000) (i32.const 1)))"), "--wall-time", "500ms"),
            ("a loop of host calls", "wall_time", module("(loop $l (drop (call $random_get (i32.const 0) (i32.const 65536))) (br $l))"),
             "--wall-time", "500ms"),
            ("a loop of large fills", "wall_time", module("(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br $l))",
                                                          '(memory (export "memory") 256)'), "--wall-time", "500ms"),
            ("memory, unused", "memory_limit", module(grow + "unreachable")),
            ("memory, used", "memory_limit", module(touch)),
            ("recursion", "stack_overflow", module("(call $f)", wasm.MEMORY + "(func $f (call $f))")),
            ("recursion with many locals", "stack_overflow", module("(call $f (i64.const 1))", wasm.MEMORY + many_locals)),
            ("recursion through a table", "stack_overflow",
             module("(call_indirect (i32.const 0))", wasm.MEMORY + "(table 1 funcref) (elem (i32.const 0) $f) (func $f (call_indirect (i32.const 0)))")),
            ("host calls all the way down", "stack_overflow",
             module("(call $f)", wasm.MEMORY + "(func $f (drop (call $random_get (i32.const 0) (i32.const 64))) (call $f))")),
            ("events without end", "event_limit", module("(loop $l (call $push_event (i32.const 0) (i32.const 10)) (br $l))")),
            ("answers without end", "output_limit",
             module("(loop $l (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (br $l))",
                    wasm.MEMORY + r'(data (i32.const 8) "\00\01\00\00\00\10\00\00")')),
        ])

    def test_tables_and_memories(self):
        module = wasm.text_module
        self.all_end_with((1,), [
            ("the largest table", None, module("nop", wasm.MEMORY + "(table 65536 funcref)")),
            ("a table that grows", None,
             module("(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 4096)) (i32.const -1))))", wasm.MEMORY + "(table $t 1 funcref)")),
            ("a segment outside the memory", "start_failed", module("nop", wasm.MEMORY + '(data (i32.const 65535) "ab")')),
            ("a segment far outside", "start_failed", module("nop", wasm.MEMORY + '(data (i32.const -1) "ab")')),
            ("a segment outside the table", "start_failed", module("nop", wasm.MEMORY + "(table 1 funcref) (func $f) (elem (i32.const 1) $f)")),
            ("a call past the table", "trap", module("(call_indirect (i32.const 70000))", wasm.MEMORY + "(table 1 funcref)")),
            ("a call of another type", "trap",
             module("(drop (call_indirect (param i64) (result i64) (i64.const 1) (i32.const 0)))", wasm.MEMORY + "(table 1 funcref) (func $f) (elem (i32.const 0) $f)")),
            ("a read past the memory", "memory_out_of_bounds", module("(drop (i64.load offset=0xffffffff (i32.const -1)))")),
            ("a copy past the memory", "memory_out_of_bounds", module("(memory.copy (i32.const 0) (i32.const 1) (i32.const 0x7fffffff))")),
        ])

    def test_bad_pointers(self):
        # At 8 an iovec that leads past the memory's end, at 16 one that wraps around 32 bits; at 32 what prints the byte at 64.
        data = (r'(data (i32.const 8) "\f0\ff\00\00\20\00\00\00\ff\ff\ff\ff\02\00\00\00")'
                r'(data (i32.const 32) "\40\00\00\00\01\00\00\00")')
        show = "(drop (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 0)))"
        # Of WASI they answer `fault` (21), as its specification has it; the guest goes on.
        before = self.warm_up()
        for name, code in {
            "an array of vectors past the end": "(call $fd_write (i32.const 1) (i32.const 65532) (i32.const 1) (i32.const 0))",
            "an array of vectors that wraps": "(call $fd_write (i32.const 1) (i32.const -8) (i32.const 2) (i32.const 0))",
            "a vector past the end": "(call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))",
            "a vector that wraps": "(call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 0))",
            "reading to a vector past the end": "(call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0))",
            "a count's place past the end": "(call $fd_write (i32.const 1) (i32.const 100) (i32.const 0) (i32.const 65533))",
            "a path past the end": "(call $path_open (i32.const 3) (i32.const 0) (i32.const 65530) (i32.const 100) (i32.const 0) "
                                   "(i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0))",
            "random bytes past the end": "(call $random_get (i32.const 65530) (i32.const 100))",
            "subscriptions past the end": "(call $poll_oneoff (i32.const 65530) (i32.const 0) (i32.const 1) (i32.const 0))",
        }.items():
            with self.subTest(name):
                code, last, errors = self.call(wasm.text_module(f"(i32.store8 (i32.const 64) {code}) {show}", wasm.MEMORY + data))
                self.assertEqual((code, last.get("evidence")), (0, "\x15"), f"{last} {errors[-500:]}")
                self.honest()
        self.settles(before)
        # Of `nmp` they end the run.
        self.all_end_with((1,), [(name, "guest_misuse", wasm.text_module(code)) for name, code in {
            "an event past the end": "(call $push_event (i32.const -1) (i32.const 10))",
            "a name past the end": "(drop (call $input_size (i32.const 65530) (i32.const 20)))",
        }.items()])

    def test_paths_lead_nowhere_else(self):
        paths = ["app.log", "../secret", "..", "/etc/passwd", "/", "/proc/self/environ", "./../secret", "x/../../secret", "../../../../../../etc/passwd",
                 "up", "absolute", "root", "root/etc/passwd", "proc", "magic", "magic/etc/passwd", "loop", "parent", "parent/secret", "device",
                 "app.log/../../secret", "/data/logs/../../etc/passwd"]
        text, data, tries = 4096, "", []
        for path in paths:
            for descriptor in (3, 4, 1):
                for follow in (1, 0):
                    # At 1024: what path_open answers, one byte for each try.
                    tries.append(f"(i32.store8 (i32.const {1024 + len(tries)}) (call $path_open (i32.const {descriptor}) (i32.const {follow}) "
                                 f"(i32.const {text}) (i32.const {len(path)}) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))")
            data += f'(data (i32.const {text}) "{path}")'
            text += len(path)
        size = len(tries)
        data += '(data (i32.const 8) "\\00\\04\\00\\00' + "".join(f"\\{byte:02x}" for byte in size.to_bytes(4, "little")) + '")'
        code, last, errors = self.call(wasm.text_module("".join(tries) + "(drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))",
                                                        wasm.MEMORY + data))
        self.assertEqual(code, 0, f"{last} {errors}")
        answers = last["evidence"].encode()
        self.assertEqual(len(answers), size)
        # The dataset's own file opens by the dataset's descriptor. The first of these becomes descriptor 4: a file, no folder.
        self.assertEqual([answers[0], answers[1]], [0, 0])
        for at in range(2, size):
            self.assertNotEqual(answers[at], 0, f"{paths[at // 6]} from descriptor {(3, 4, 1)[at % 6 // 2]}")
        self.honest()

    def test_modules_that_the_guardian_refuses(self):
        module, byte_module, body = wasm.text_module, wasm.byte_module, wasm.body
        good = byte_module([body()])
        start = "(func $s {}) (start $s)"
        imports = "".join('(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))' for _ in range(129))
        self.all_end_with(REFUSED, [(name, "module_refused", what) for name, what in {
            "a start function that loops": module("nop", wasm.MEMORY + start.format("(loop $l (br $l))")),
            "a start function that allocates": module("nop", wasm.MEMORY + start.format("(drop (memory.grow (i32.const 1000)))")),
            "an import as start function": '(module (import "wasi_snapshot_preview1" "sched_yield" (func $y (result i32)))'
                                           f'{wasm.MEMORY} (export "_start" (func $y)))',
            "a start with parameters": f'(module {wasm.MEMORY} (func (export "_start") (param i32)))',
            "no memory": '(module (func (export "_start")))',
            "an imported memory": '(module (import "env" "memory" (memory 1)) (export "memory" (memory 0)) (func (export "_start")))',
            "an unknown import": f'(module (import "env" "system" (func (param i32))) {wasm.MEMORY} (func (export "_start")))',
            "a call that the ABI has not": f'(module (import "wasi_snapshot_preview1" "fd_exec" (func)) {wasm.MEMORY} (func (export "_start")))',
            "too many imports": f'(module {imports} {wasm.MEMORY} (func (export "_start")))',
            "a table too large": module("nop", wasm.MEMORY + "(table 65537 funcref)"),
            "a table of 2^32 - 1": module("nop", wasm.MEMORY + "(table 0xffffffff funcref)"),
            "too many tables": module("nop", wasm.MEMORY + "(table 1 funcref)" * 3),
            "too many functions": byte_module([body()] * 32769),
            "a function too large": byte_module([body(b"\x01" * (128 << 10))]),
            "too many locals": byte_module([body(locals_=b"\1" + wasm.leb(0xFFFFFFFF) + b"\x7e")]),
            "a table of too many branches": byte_module([body(b"\x02\x40\x41\0\x0e" + wasm.leb(65_521) + b"\0" * 65_522 + b"\x0b")]),
            "too much to compile": byte_module([body(b"\x03\x40" * 5000 + b"\x0b" * 5000)] * 40),
            "too many types": byte_module([body()], types=wasm.section(1, wasm.vector([b"\x60\0\0"] * 4097))),
            "too many sections": good + wasm.custom("x") * 65,
            "a custom section too large": LARGE,
            "a section twice": good + wasm.MEMORIES,
            "an unknown section": good + wasm.section(14, b""),
            "a section longer than the module": good + b"\0" + wasm.leb(1 << 30),
            "a count larger than its section": wasm.HEADER + wasm.section(1, wasm.leb(4000)),
            "a function without code": wasm.HEADER + wasm.TYPES + wasm.section(3, wasm.vector([b"\0"])) + wasm.MEMORIES + wasm.EXPORTS,
            "a component": b"\0asm\x0d\0\1\0",
        }.items()])

    def test_modules_that_the_compiler_refuses(self):
        body = wasm.body
        self.all_end_with(REFUSED, [(name, "invalid_module", wasm.byte_module([what])) for name, what in {
            "an operand too few": body(b"\x6a\x1a"),
            "a value left over": body(b"\x41\0"),
            "a local that is not there": body(b"\x20\x05\x1a"),
            "a branch to nowhere": body(b"\x0c\x10"),
            "a call of nothing": body(b"\x10\x7f"),
        }.items()])

    def test_compile_bombs_below_the_ceilings(self):
        """Whatever the guardian lets pass is done with in time, and honest calls are answered after it."""
        byte_module, body = wasm.byte_module, wasm.body
        nest = 42_000
        before = self.warm_up()
        for name, module in {
            "many functions": byte_module([body()] * 32_768),
            "one large function": byte_module([body(b"\x41\0" + b"\x41\1\x6a" * 40_000 + b"\x1a")]),
            "nested blocks": byte_module([body(b"\x02\x40" * nest + b"\x0b" * nest)]),
            "nested ifs": byte_module([body(b"\x41\1\x04\x40" * 24_000 + b"\x0b" * 24_000)]),
            "nested loops": byte_module([body(b"\x03\x40" * 20_000 + b"\x0b" * 20_000)]),
            "a table of branches": byte_module([body(b"\x02\x40\x41\0\x0e" + wasm.leb(65_520) + b"\0" * 65_521 + b"\x0b")]),
            "locals that join": byte_module([body((b"\x41\1\x04\x40" + b"\x20\0\x41\1\x6a\x21\0" + b"\x0b") * 2_000, b"\1" + wasm.leb(4096) + b"\x7f")]),
            "many stores": byte_module([body(b"\x41\0\x41\0\x36\2\0" * 18_000)] * 40),
            "many calls": byte_module([body(b"\x10\0" * 60_000)]),
            "deep operands": byte_module([body(b"\x41\1" * 42_000 + b"\x6a" * 41_999 + b"\x1a")]),
        }.items():
            with self.subTest(name):
                code, last, errors = self.call(module, "--wall-time", "1s")
                # The function that calls itself overflows the stack.
                expected = (1, "stack_overflow") if name == "many calls" else (0, None)
                self.assertEqual((code, last.get("reason")), expected, f"{last} {errors[-500:]}")
                self.honest()
        self.settles(before, RSS_GROWTH_COMPILED_MAX)


if __name__ == "__main__":
    unittest.main()
