#include "server/manifest_service.hpp"

#include "base/async/with_deadline.hpp"
#include "core/envelope.hpp"

namespace nmp::server {

Result<std::unique_ptr<ManifestService>> ManifestService::make(libp2p::Host& host,
                                                               const Config& config,
                                                               store::Store& store,
                                                               const Clock& clock) {
  NMP_TRY(auto first, sign(host, config, store, clock.unix_now()));
  return std::unique_ptr<ManifestService>(new ManifestService(host, config, store, clock, std::move(first)));
}

Result<core::ReceivedManifest> ManifestService::sign(libp2p::Host& host,
                                                     const Config& config,
                                                     store::Store& store,
                                                     UnixSeconds now) {
  core::Manifest manifest{.node = host.id()};
  NMP_TRY(manifest.seq, store.next_manifest_seq());
  manifest.issued = now;
  manifest.expires = now + std::chrono::seconds(kManifestLife).count();
  manifest.software = "nmp/0.1.0";
  manifest.suites = {core::kSuite1};
  for (const auto& capability : config.capabilities) {
    core::ManifestCapability entry;
    entry.name = capability.name;
    entry.description = capability.description;
    entry.input_schema = capability.inputs_schema;
    entry.evidence_schema = capability.evidence_schema;
    entry.limits = capability.limits;
    entry.open = capability.open;
    entry.datasets = capability.datasets;
    entry.receipt_kinds = {core::ReceiptKind::is_signed};
    manifest.capabilities.push_back(std::move(entry));
  }
  for (const auto& dataset : config.datasets) {
    core::ManifestDataset entry;
    entry.name = dataset.name;
    entry.description = dataset.description;
    manifest.datasets.push_back(std::move(entry));
  }
  NMP_TRY(auto cose, core::sign_manifest(std::move(manifest), host.identity().ed25519()));
  return core::parse_manifest(cose);
}

Result<void> ManifestService::refresh() {
  auto now = clock_.unix_now();
  if (now - current_.manifest.issued < std::chrono::seconds(kManifestRefresh).count()) return {};
  NMP_TRY(current_, sign(host_, config_, store_, now));
  return {};
}

namespace {
async::Awaitable<Result<void>> send(libp2p::Stream& stream, Bytes bytes) {
  NMP_CO_CHECK(co_await stream.write(bytes));
  co_return co_await stream.close_write();
}
}  // namespace

async::Awaitable<void> ManifestService::serve(libp2p::StreamPtr stream) {
  stream->stop_reading(libp2p::stream_code::kNone);
  auto deadline = clock_.now() + kManifestDeadline;
  auto sent = co_await async::with_deadline(deadline, send(*stream, current_.cose));
  if (!sent) stream->reset(libp2p::stream_code::kGarbageCollected);
}

}  // namespace nmp::server
