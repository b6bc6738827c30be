#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// What a guest, or whoever sends it, may make this room hold.
namespace nmp::sandbox {

/// Memory and tables of one run, whatever its Authorization says: the size of a pool slot's address space.
///
/// An Authorization's memory_bytes covers the guest's linear memory and its tables. Beside it a run costs the host, at
/// most and whatever the guest does: its inputs (input_bytes, or the job's box of 64 MiB), an outbox of kOutboxBytesMax
/// in kOutboxItemsMax items, the evidence kept for its commitment (output_bytes), kUncreditedBytesMax of sealed boxes
/// twice (in the engine's queue and the host's), a stack of 1 MiB (resident: what was touched), kDescriptorsMax
/// descriptors, and for the time of a call kCallBytesMax is moved, not copied.
inline constexpr std::uint64_t kMemoryBytesMax = 1ULL << 30;
/// Runs at a time, each with a slot in the pool: 1 GiB of address space, resident only what is touched.
inline constexpr std::uint32_t kRunsMax = 1024;
/// Guest stack, and what is left above it for our own functions on the same stack.
inline constexpr std::size_t kGuestStackBytes = 512 * 1024;
inline constexpr std::size_t kHostStackBytes = 512 * 1024;
/// A turn of a run on a worker thread: the epoch's tick.
inline constexpr std::chrono::milliseconds kTick{10};
/// Output of one run that nobody has taken yet. When it is full, the guest waits.
inline constexpr std::size_t kOutboxBytesMax = 128 * 1024;
inline constexpr std::size_t kOutboxItemsMax = 4096;
/// One piece of evidence or diagnostics, one event.
inline constexpr std::size_t kPieceBytesMax = 64 * 1024;
inline constexpr std::size_t kEventBytesMax = 64 * 1024;
/// Diagnostics of one run, whatever its Authorization says; what is beyond is dropped, and a flag says so.
inline constexpr std::size_t kDiagnosticBytesMax = 1024 * 1024;
/// Open descriptors of a guest: stdio, one per dataset, and files.
inline constexpr std::size_t kDescriptorsMax = 256;
inline constexpr std::size_t kDatasetsMax = 64;
/// iovecs of one call (POSIX IOV_MAX), and bytes that one call moves.
inline constexpr std::uint32_t kIovecsMax = 1024;
inline constexpr std::size_t kCallBytesMax = 1024 * 1024;
inline constexpr std::size_t kPathBytesMax = 4096;
/// Subscriptions of one poll_oneoff.
inline constexpr std::uint32_t kSubscriptionsMax = 64;
/// random_get in one call.
inline constexpr std::size_t kRandomBytesMax = 64 * 1024;
/// Arguments: lines of the input `args`.
inline constexpr std::size_t kArgumentsMax = 256;
inline constexpr std::size_t kArgumentBytesMax = 64 * 1024;
/// Files of a dataset whose sizes are remembered at a run's start, and how deep the walk goes. A dataset with more is
/// refused: a snapshot that is not whole promises nothing.
inline constexpr std::size_t kSnapshotFilesMax = 100'000;
inline constexpr std::size_t kSnapshotDepthMax = 32;
/// Compiled modules kept, by the memory they hold: of machine code, about five times their Wasm for what toolchains
/// emit, a hundred times for the worst.
inline constexpr std::size_t kCacheModuleBytesMax = 128 * 1024 * 1024;
/// What a function costs beside its machine code.
inline constexpr std::size_t kFunctionRecordBytes = 64;
inline constexpr std::size_t kCacheModulesMax = 64;
/// Modules that wait for the compiler.
inline constexpr std::size_t kCompileQueueMax = 32;

/// The engine's protocol: a frame is one CBOR object, which crypto caps at 64 MiB.
inline constexpr std::size_t kFrameBytesMax = 64 * 1024 * 1024;
/// Sealed bytes that the engine has sent for a run and the host has not credited yet.
inline constexpr std::size_t kUncreditedBytesMax = 256 * 1024;
inline constexpr std::size_t kSessionsMax = 2048;
/// Frames that a host has queued for its engine, beyond which jobs wait: one job of the largest size.
inline constexpr std::size_t kQueuedBytesMax = kFrameBytesMax;
/// Boxes of a run that wait in the host: what the engine may send without credit, and one piece, the final box and
/// their envelopes above it. An engine that sends more breaks the protocol.
inline constexpr std::size_t kHeldBytesMax = kUncreditedBytesMax + 4 * kPieceBytesMax;
/// A frame from here on is decoded off the network thread.
inline constexpr std::size_t kDecodeInlineBytesMax = 64 * 1024;
/// How long a session's keys live at most. They are erased then, when the session is spent or dropped, and when its
/// stream ends.
inline constexpr std::chrono::seconds kSessionLifeMax{60};

}  // namespace nmp::sandbox
