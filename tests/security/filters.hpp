#pragma once

#include <string>

#include "sandbox/testing.hpp"

/// Guests, as small as they go.
namespace nmp::security {

inline Bytes filter(std::string_view start) {
  return sandbox::wat(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "nmp" "push_event" (func $push (param i32 i32)))
    (import "nmp" "wait" (func $wait (param i64 i32) (result i32)))
    (import "nmp" "input_read" (func $input (param i32 i32 i64 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 8) "\64\00\00\00\08\00\00\00") (data (i32.const 100) "evidence")
    (data (i32.const 16) "\00\00\00\00\00\00\01\00") (data (i32.const 200) "an event")
    (data (i32.const 300) "secret")
    (func (export "_start") )" +
                      std::string(start) + "))");
}

/// Two events, then the word "evidence".
inline Bytes good_filter() {
  return filter(R"((call $push (i32.const 200) (i32.const 8)) (call $push (i32.const 200) (i32.const 2))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))");
}
/// Waits until it is ended.
inline Bytes waiting_filter() {
  return filter("(loop $l (drop (call $wait (i64.const 1000000) (i32.const 1))) (br $l))");
}
/// Has the input "secret" in its memory, and waits until it is ended.
inline Bytes knowing_filter() {
  return filter(R"((drop (call $input (i32.const 300) (i32.const 6) (i64.const 0) (i32.const 1024) (i32.const 256)))
    (loop $l (drop (call $wait (i64.const 1000000) (i32.const 1))) (br $l)))");
}
/// Has the input "secret" in its memory, and tells it as an event and as evidence.
inline Bytes telling_filter() {
  return filter(R"((i32.store (i32.const 24) (i32.const 1024))
    (i32.store (i32.const 28) (call $input (i32.const 300) (i32.const 6) (i64.const 0) (i32.const 1024) (i32.const 256)))
    (call $push (i32.const 1024) (i32.load (i32.const 28)))
    (drop (call $write (i32.const 1) (i32.const 24) (i32.const 1) (i32.const 0))))");
}
/// 1 MiB of stdout.
inline Bytes talking_filter() {
  return filter(R"((local $i i32)
    (loop $l (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 0)))
      (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 16)))))");
}
/// Waits about 20 ms, then as good_filter() without events.
inline Bytes brief_filter() {
  return filter(R"((drop (call $wait (i64.const 20000000) (i32.const 1)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))");
}

}  // namespace nmp::security
