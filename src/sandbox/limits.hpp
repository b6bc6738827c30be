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
/// The same of a watchdog, of which there are many: resident is what was touched, a page or two.
inline constexpr std::size_t kWatchGuestStackBytes = 192 * 1024;
inline constexpr std::size_t kWatchHostStackBytes = 320 * 1024;
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
/// Machine code on the disk: one entry (a module with more is compiled at each start), and how many there are.
inline constexpr std::size_t kCodeEntryBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kCodeEntriesMax = 16'384;
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

// Watchdogs.

/// Watchdogs of a node: each costs a few mappings of 65,530 (vm.max_map_count), and address space of a slot.
inline constexpr std::uint32_t kWatchdogsMax = 12'000;
/// A watchdog's life, whatever its policy says.
inline constexpr std::chrono::seconds kWatchLifeMax{10L * 365 * 86'400};
/// Memory of one watchdog at most: the address space of its slot.
inline constexpr std::uint64_t kWatchMemoryBytesMax = 64ULL << 20;
/// Undelivered events of one watchdog, whatever its Authorization says.
inline constexpr std::uint64_t kWatchEventsMax = 100'000;
/// A watchdog's log: its newest lines, and where a line of the guest is cut.
inline constexpr std::size_t kWatchLogBytesMax = 16 * 1024;
inline constexpr std::size_t kWatchLogLineMax = 1024;
/// What a watchdog is started with: the module is kept on the disk, the inputs in memory too, once per watchdog.
inline constexpr std::size_t kWatchModuleBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kWatchInputsBytesMax = 64 * 1024;
/// Machine code of all watchdogs' modules, which is held while they live; of one owner's a quarter.
inline constexpr std::size_t kWatchCodeBytesMax = 512 * 1024 * 1024;
/// What one watchdog may say in a UTC day, its events, states, stdout and stderr together: then it is held until
/// midnight. Without it a filter that says much for little fuel would wear out the disk.
inline constexpr std::uint64_t kWatchDayBytesMax = 1ULL << 30;
/// Outputs of a watchdog that are stored together, and writes of all of them.
inline constexpr std::size_t kWatchBatchBytes = kOutboxBytesMax;
inline constexpr std::size_t kWatchItemBytes = 256;  // what an item counts beside its bytes
inline constexpr std::size_t kWatchWriteBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kWatchWritesMax = 4096;
/// Events that are read back together.
inline constexpr std::uint32_t kWatchFetchEvents = 256;
inline constexpr std::uint64_t kWatchFetchBytes = 256 * 1024;
/// A watchdog that failed is started again after the first pause, then after twice as long each time, up to the last;
/// after so many failures in a row it is not. One that lived for kWatchHealthy begins anew.
inline constexpr std::chrono::seconds kWatchPauseFirst{1};
inline constexpr std::chrono::minutes kWatchPauseLast{10};
inline constexpr std::uint64_t kWatchFailuresMax = 16;
inline constexpr std::chrono::minutes kWatchHealthy{10};
/// How often lives are looked at, and fuel that was used without an event is stored.
inline constexpr std::chrono::seconds kWatchSweep{10};
/// A write that failed (a full disk) is tried again after this.
inline constexpr std::chrono::seconds kWatchStorePause{1};
/// A dataset that watchdogs look at: how soon after a change a snapshot is taken (writers write more than once), how
/// often at most, how often without being told of a change, and how many directories inotify watches in all.
inline constexpr std::chrono::milliseconds kFeedDelay{10};
inline constexpr std::chrono::milliseconds kFeedPause{100};
inline constexpr std::chrono::seconds kFeedWalk{30};
inline constexpr std::size_t kFeedDirectoriesMax = 8192;
/// A watchdog's state. One piece, so that it passes where an event does.
inline constexpr std::size_t kStateBytesMax = kPieceBytesMax;

}  // namespace nmp::sandbox
