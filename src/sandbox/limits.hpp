#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// What a guest, or whoever sends it, may make this room hold.
namespace nmp::sandbox {

/// Linear memory of one run, whatever its Authorization says: the size of a pool slot's address space.
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
/// Compiled modules kept, by their Wasm bytes; machine code is about five times that.
inline constexpr std::size_t kCacheModuleBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kCacheModulesMax = 64;
/// Modules that wait for the compiler.
inline constexpr std::size_t kCompileQueueMax = 32;

/// The engine's protocol: a frame is one CBOR object, which crypto caps at 64 MiB.
inline constexpr std::size_t kFrameBytesMax = 64 * 1024 * 1024;
/// Sealed bytes that the engine has sent for a run and the host has not credited yet.
inline constexpr std::size_t kUncreditedBytesMax = 256 * 1024;
inline constexpr std::size_t kSessionsMax = 2048;
/// How long keys live without an answer, and a session's keys at most.
inline constexpr std::chrono::seconds kSessionLifeMax{60};

}  // namespace nmp::sandbox
