"""Modules for the hostile set: from text by wat2wasm, or from bytes where no honest tool would write them."""
import shutil
import subprocess
import unittest

IMPORTS = """
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "nmp" "push_event" (func $push_event (param i32 i32)))
  (import "nmp" "input_size" (func $input_size (param i32 i32) (result i64)))
  (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
"""
MEMORY = '(memory (export "memory") 1)'


def wat(folder, text):
    tool = shutil.which("wat2wasm")
    if tool is None:
        raise unittest.SkipTest("no wat2wasm: scripts/setup installs it (wabt)")
    source, target = folder / "module.wat", folder / "module.wasm"
    source.write_text(text)
    subprocess.run([tool, str(source), "-o", str(target)], check=True, timeout=60)
    return target.read_bytes()


def text_module(body, more=MEMORY):
    """A module whose `_start` is `body`."""
    return f'(module {IMPORTS} {more} (func (export "_start") {body}))'


def leb(value):
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if value == 0:
            return bytes(out)


def name(text):
    return leb(len(text)) + text.encode()


def section(number, content):
    return bytes([number]) + leb(len(content)) + content


def vector(items):
    return leb(len(items)) + b"".join(items)


HEADER = b"\0asm\1\0\0\0"
TYPES = section(1, vector([b"\x60\0\0"]))
MEMORIES = section(5, vector([b"\0\1"]))
EXPORTS = section(7, vector([name("memory") + b"\2\0", name("_start") + b"\0\0"]))


def body(code=b"", locals_=b"\0"):
    """A function's code, without the last `end`."""
    content = locals_ + code + b"\x0b"
    return leb(len(content)) + content


def byte_module(bodies, types=TYPES):
    """Functions without parameters and results, of which the first is `_start`."""
    functions = section(3, vector([b"\0"] * len(bodies)))
    return HEADER + types + functions + MEMORIES + EXPORTS + section(10, vector(bodies))


def custom(text, content=b""):
    return section(0, name(text) + content)
