#include "libp2p/kad/validator.hpp"

namespace nmp::libp2p::kad {

void Validators::add(std::string ns, std::unique_ptr<const Validator> validator) {
  by_namespace_.insert_or_assign(std::move(ns), std::move(validator));
}

const Validator* Validators::find(ByteView key) const {
  auto text = text_of(key);
  if (!text.starts_with('/')) return nullptr;
  auto end = text.find('/', 1);
  if (end == std::string_view::npos) return nullptr;
  auto found = by_namespace_.find(text.substr(1, end - 1));
  return found == by_namespace_.end() ? nullptr : found->second.get();
}

Result<void> Validators::validate(ByteView key, ByteView value, UnixSeconds now) const {
  const auto* validator = find(key);
  if (validator == nullptr) return fail(Errc::unsupported, "kad: no validator for this key");
  return validator->validate(key, value, now);
}

Result<std::size_t> Validators::select(ByteView key, std::span<const Bytes> values) const {
  const auto* validator = find(key);
  if (validator == nullptr) return fail(Errc::unsupported, "kad: no validator for this key");
  if (values.empty()) return fail(Errc::malformed, "kad: nothing to select from");
  auto index = validator->select(key, values);
  if (index >= values.size()) return fail(Errc::malformed, "kad: the validator selects nothing");
  return index;
}

}  // namespace nmp::libp2p::kad
