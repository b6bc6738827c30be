// fuzz: USES sandbox
// A guest's calls: the input is a list of [function, selector, arguments...] over a memory that earlier calls have
// written to, and a dataset of two files. Whatever it calls, only its memory changes, and what waits stays bounded.
#include <filesystem>
#include <fstream>

#include "base/codec.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/guest_api.hpp"

namespace {

using namespace nmp;
using namespace nmp::sandbox;

SnapshotPtr dataset() {
  static const SnapshotPtr snapshot = [] {
    const auto folder = std::filesystem::temp_directory_path() / "nmp_fuzz_guest_api";
    std::filesystem::create_directories(folder / "sub");
    std::ofstream(folder / "a") << "0123456789";
    std::ofstream(folder / "sub" / "b") << "b";
    auto taken = Snapshot::take("d", folder);
    NMP_ASSERT(taken.has_value());
    return *taken;
  }();
  return snapshot;
}

class Counting : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    for (auto& byte : out) byte = static_cast<std::byte>(next_++);
  }

 private:
  unsigned next_ = 0;
};

constexpr std::uint32_t kMemory = 4096;

/// Small numbers, places in the memory, its end, and anything.
std::uint64_t argument(Reader& reader) {
  const auto kind = reader.u8().value_or(0);
  switch (kind % 5) {
    case 0: return kind / 5;
    case 1: return reader.u8().value_or(0) * std::uint64_t{16};
    case 2: return kMemory - kind / 5;
    case 3: return 0xffff'ffffU - kind / 5;
    default: return reader.u64be().value_or(~0ULL);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader reader(view_of(data, size));
  Counting counting;
  LockedRandom random(counting);
  GuestOptions options;
  options.limits.output_bytes = 1000;
  options.limits.event_bytes = 1000;
  options.limits.events = 10;
  options.limits.diagnostic_bytes = 100;
  options.inputs = {{"stdin", Bytes(50, std::byte{'x'})}, {"args", Bytes(5, std::byte{'a'})}};
  options.datasets = {dataset()};
  options.random = &random;
  if (reader.u8().value_or(0) % 2 == 0) options.seed = 7;
  Outbox outbox([] {}, [] {});
  GuestApi api(std::move(options), outbox, Instant());

  std::vector<std::byte> bytes(kMemory);
  const auto start = reader.take(std::min<std::size_t>(reader.size(), reader.u8().value_or(0) * 8UZ));
  if (start) std::ranges::copy(*start, bytes.begin());
  const GuestMemory memory(bytes);
  auto now = Instant() + std::chrono::seconds(1);
  for (int calls = 0; calls < 200 && !reader.empty(); ++calls) {
    const auto functions = guardian::abi_functions();
    const auto& abi = functions[reader.u8().value_or(0) % functions.size()];
    CallArguments arguments;
    for (std::size_t i = 0; i < abi.type.find('>'); ++i) {
      arguments.values.at(i) = argument(reader);
      if (abi.type[i] == 'i') arguments.values.at(i) &= 0xffff'ffffU;
    }
    const auto function = GuestApi::find(abi.module, abi.name);
    auto reply = (api.*function)(arguments, memory, now);
    if (reply.kind == Reply::Kind::wait) {
      NMP_ASSERT(GuestApi::may_wait(abi.module, abi.name));
      // As the runner does: once there is room and its time has come, it must be done.
      while (outbox.take()) {
      }
      if (api.wake_at() == kNever) {
        reply = (api.*function)(arguments, memory, now);
        if (reply.kind == Reply::Kind::wait) return 0;  // poll for what never comes
      } else {
        now = std::max(now, api.wake_at());
        if (now > Instant() + std::chrono::hours(24 * 365 * 100)) return 0;  // no machine's clock gets there
        reply = (api.*function)(arguments, memory, now);
        NMP_ASSERT(reply.kind != Reply::Kind::wait);
      }
    }
    if (reply.kind == Reply::Kind::stop) {
      NMP_ASSERT(api.stopped().has_value());
      break;
    }
    if (abi.module == guardian::kWasiModule) NMP_ASSERT(reply.value <= 76);
  }
  NMP_ASSERT(api.used().output_bytes <= 1000 && api.used().event_bytes <= 1000 && api.used().events <= 10);
  NMP_ASSERT(api.used().diagnostic_bytes <= 100 && outbox.room() <= kOutboxBytesMax);
  return 0;
}
