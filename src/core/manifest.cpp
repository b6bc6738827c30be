#include "core/manifest.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "core/capability.hpp"
#include "core/errc.hpp"
#include "core/limits.hpp"
#include "core/statement.hpp"

namespace nmp::core {
namespace {

constexpr std::string_view kRecordPrefix = "/nmp/manifest/";

cbor::Value to_cbor(const ManifestCapability& capability) {
  cbor::Array kinds;
  for (auto kind : capability.receipt_kinds) kinds.emplace_back(to_text(kind));
  return cbor::Map{{1, capability.name},
                   {2, capability.description},
                   {3, capability.input_schema},
                   {4, capability.evidence_schema},
                   {5, to_cbor(capability.limits)},
                   {6, capability.open},
                   {7, cbor::Array(capability.datasets.begin(), capability.datasets.end())},
                   {8, std::move(kinds)}};
}

Result<ManifestCapability> capability_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  ManifestCapability out;
  NMP_TRY(out.name, reader.text(1));
  NMP_CHECK(check_name(out.name, "capability"));
  NMP_TRY(const auto* description, reader.need(2));
  NMP_TRY(out.description, statement::short_text(*description, kTextBytesMax));
  NMP_TRY(const auto* inputs, reader.need(3));
  NMP_TRY(out.input_schema, statement::short_text(*inputs, kSchemaBytesMax));
  NMP_TRY(const auto* evidence, reader.need(4));
  NMP_TRY(out.evidence_schema, statement::short_text(*evidence, kSchemaBytesMax));
  NMP_TRY(const auto* limits, reader.need(5));
  NMP_TRY(out.limits, authorization_from_cbor(*limits));
  if (!out.limits.is_complete()) return fail(Errc::bad_statement, "a limit without a ceiling");
  NMP_TRY(const auto* open, reader.need(6));
  NMP_TRY(out.open, open->as_bool());
  NMP_TRY(const auto* datasets, reader.array(7));
  if (datasets->size() > kManifestDatasetsMax) return fail(nmp::Errc::too_large, "datasets");
  for (const auto& item : *datasets) {
    NMP_TRY(auto name, item.as_text());
    NMP_CHECK(check_name(name, "dataset"));
    out.datasets.emplace_back(name);
  }
  NMP_TRY(const auto* kinds, reader.array(8));
  for (const auto& item : *kinds) {
    NMP_TRY(auto text, item.as_text());
    NMP_TRY(auto kind, parse_receipt_kind(text));
    if (std::ranges::find(out.receipt_kinds, kind) != out.receipt_kinds.end()) {
      return fail(Errc::bad_statement, "a receipt kind twice");
    }
    out.receipt_kinds.push_back(kind);
  }
  NMP_CHECK(reader.done());
  return out;
}

cbor::Value to_cbor(const ManifestDataset& dataset) {
  return cbor::Map{{1, dataset.name}, {2, dataset.description}, {3, statement::or_null(dataset.commitment)}};
}

Result<ManifestDataset> dataset_from_cbor(const cbor::Value& value) {
  NMP_TRY(const auto* map, value.as_map());
  cbor::MapReader reader(*map);
  ManifestDataset out;
  NMP_TRY(out.name, reader.text(1));
  NMP_CHECK(check_name(out.name, "dataset"));
  NMP_TRY(const auto* description, reader.need(2));
  NMP_TRY(out.description, statement::short_text(*description, kTextBytesMax));
  NMP_TRY(const auto* commitment, reader.need(3));
  NMP_TRY(out.commitment, statement::maybe_digest(*commitment));
  NMP_CHECK(reader.done());
  return out;
}

Result<void> check_life(const Manifest& manifest) {
  const auto life = manifest.expires - manifest.issued;
  constexpr auto kMax = std::chrono::seconds(kManifestLifeMax);
  if (life <= 0 || life > kMax.count()) return fail(Errc::life_too_long);
  return {};
}

Result<Manifest> from_map(const cbor::Map& map) {
  cbor::MapReader reader(map);
  NMP_CHECK(statement::version(reader));
  NMP_TRY(const auto* node_value, reader.need(2));
  NMP_TRY(auto node, statement::peer(*node_value));
  Manifest out{.node = node};
  NMP_TRY(out.seq, reader.uint(3));
  if (out.seq > static_cast<std::uint64_t>(INT64_MAX)) return fail(Errc::bad_statement, "seq");
  NMP_TRY(const auto* issued, reader.need(4));
  NMP_TRY(out.issued, statement::time(*issued));
  NMP_TRY(const auto* expires, reader.need(5));
  NMP_TRY(out.expires, statement::time(*expires));
  NMP_TRY(const auto* software, reader.need(6));
  NMP_TRY(out.software, statement::short_text(*software, kTextBytesMax));
  NMP_TRY(const auto* capabilities, reader.array(7));
  if (capabilities->size() > kManifestCapabilitiesMax) return fail(nmp::Errc::too_large, "capabilities");
  for (const auto& item : *capabilities) {
    NMP_TRY(auto capability, capability_from_cbor(item));
    if (!out.capabilities.empty() && out.capabilities.back().name >= capability.name) {
      return fail(Errc::bad_statement, "capabilities not in order");
    }
    out.capabilities.push_back(std::move(capability));
  }
  NMP_TRY(const auto* datasets, reader.array(8));
  if (datasets->size() > kManifestDatasetsMax) return fail(nmp::Errc::too_large, "datasets");
  for (const auto& item : *datasets) {
    NMP_TRY(auto dataset, dataset_from_cbor(item));
    if (!out.datasets.empty() && out.datasets.back().name >= dataset.name) {
      return fail(Errc::bad_statement, "datasets not in order");
    }
    out.datasets.push_back(std::move(dataset));
  }
  NMP_TRY(const auto* suites, reader.array(9));
  if (suites->size() > kSuitesMax) return fail(nmp::Errc::too_large, "suites");
  for (const auto& item : *suites) {
    NMP_TRY(auto suite, item.as_uint());
    out.suites.push_back(suite);
  }
  NMP_TRY(const auto* enclave, reader.need(10));
  NMP_TRY(out.enclave_evidence, statement::maybe_digest(*enclave));
  NMP_CHECK(reader.done());
  NMP_CHECK(check_life(out));
  return out;
}

}  // namespace

const ManifestCapability* Manifest::find(std::string_view capability) const {
  const auto found = std::ranges::find(capabilities, capability, &ManifestCapability::name);
  return found == capabilities.end() ? nullptr : &*found;
}

Result<Bytes> sign_manifest(Manifest manifest, const crypto::Ed25519KeyPair& node_key) {
  std::ranges::sort(manifest.capabilities, {}, &ManifestCapability::name);
  std::ranges::sort(manifest.datasets, {}, &ManifestDataset::name);
  cbor::Array capabilities;
  if (!is_utf8(manifest.software)) return fail(Errc::bad_statement, "text is not UTF-8");
  for (const auto& capability : manifest.capabilities) {
    NMP_CHECK(check_name(capability.name, "capability"));
    for (const auto& name : capability.datasets) NMP_CHECK(check_name(name, "dataset"));
    if (!is_utf8(capability.description) || !is_utf8(capability.input_schema) || !is_utf8(capability.evidence_schema)) {
      return fail(Errc::bad_statement, "text is not UTF-8");
    }
    capabilities.push_back(to_cbor(capability));
  }
  cbor::Array datasets;
  for (const auto& dataset : manifest.datasets) {
    NMP_CHECK(check_name(dataset.name, "dataset"));
    if (!is_utf8(dataset.description)) return fail(Errc::bad_statement, "text is not UTF-8");
    datasets.push_back(to_cbor(dataset));
  }
  cbor::Map map{{1, 1},
                {2, manifest.node.bytes()},
                {3, manifest.seq},
                {4, manifest.issued},
                {5, manifest.expires},
                {6, manifest.software},
                {7, std::move(capabilities)},
                {8, std::move(datasets)},
                {9, cbor::Array(manifest.suites.begin(), manifest.suites.end())},
                {10, statement::or_null(manifest.enclave_evidence)}};
  NMP_TRY(auto cose, statement::sign(kManifestTyp, std::move(map), manifest.node, node_key, kManifestBytesMax));
  NMP_TRY([[maybe_unused]] auto again, parse_manifest(cose));
  return cose;
}

Result<ReceivedManifest> parse_manifest(ByteView cose) {
  NMP_TRY(auto parsed, statement::parse(cose, kManifestBytesMax, kManifestTyp, "manifest"));
  auto manifest = from_map(parsed.map);
  if (!manifest) return fail(statement::schema_error(std::move(manifest).error()));
  if (manifest->node != parsed.kid) return fail(Errc::wrong_kid, "signed by another than its node");
  return ReceivedManifest{.manifest = *std::move(manifest), .cose = to_bytes(cose), .hash = crypto::sha256(cose)};
}

Result<ReceivedManifest> verify_manifest(ByteView cose, const libp2p::PeerId& node, UnixSeconds now) {
  NMP_TRY(auto received, parse_manifest(cose));
  if (received.manifest.node != node) return fail(Errc::wrong_kid, "another node's manifest");
  if (received.manifest.issued - kClockSkewMax.count() > now) return fail(Errc::not_yet);
  if (now > received.manifest.expires) return fail(Errc::expired);
  NMP_CHECK(statement::verify(cose, kManifestTyp, node));
  return received;
}

Bytes manifest_record_key(const libp2p::PeerId& node) { return concat({bytes_of(kRecordPrefix), node.bytes()}); }

Result<void> validate_record(ByteView key, ByteView value, UnixSeconds now) {
  if (!text_of(key).starts_with(kRecordPrefix)) return fail(Errc::bad_key);
  auto node = libp2p::PeerId::from_bytes(key.subspan(kRecordPrefix.size()));
  if (!node) return fail(Errc::bad_key);
  auto verified = verify_manifest(value, *node, now);
  if (!verified) return fail(std::move(verified).error());
  return {};
}

Result<std::size_t> select_record(ByteView key, const std::vector<Bytes>& values, UnixSeconds now) {
  std::optional<std::size_t> best;
  std::uint64_t best_seq = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!validate_record(key, values[i], now)) continue;
    const auto seq = parse_manifest(values[i])->manifest.seq;
    if (best && seq <= best_seq) continue;
    best = i;
    best_seq = seq;
  }
  if (!best) return fail(nmp::Errc::not_found, "no valid record");
  return *best;
}

}  // namespace nmp::core
