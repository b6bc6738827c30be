#include "server/refusal.hpp"

#include "sandbox/errors.hpp"
#include "store/store.hpp"

namespace nmp::server {

namespace {
std::string_view reason_of_store(store::Errc code) {
  switch (code) {
    case store::Errc::replayed: return "replayed";
    case store::Errc::agent_full: return "too_many_intents";
    case store::Errc::clock_behind: return "clock_behind";
    case store::Errc::database: return "storage_failed";
    default: return "internal";
  }
}
}  // namespace

Refusal refusal(std::string_view reason, std::string message) {
  const auto* row = core::find_reason(reason);
  if (row == nullptr) row = core::find_reason("internal");
  NMP_ASSERT(row != nullptr);
  if (message.empty()) message = row->meaning;
  return {row, std::move(message)};
}

Refusal refusal_of(const Error& error) {
  if (error.code.category() == make_error_code(store::Errc::replayed).category())
    return refusal(reason_of_store(static_cast<store::Errc>(error.code.value())));
  if (error.code.category() == make_error_code(sandbox::Errc::trap).category())
    return refusal(sandbox::reason_of(error.code));
  return refusal(core::reason_of(error.code).reason);
}

rpc::Status to_status(const Refusal& refusal) {
  auto code = rpc::code_of(static_cast<std::uint64_t>(refusal.reason->grpc_code));
  return rpc::Status::because(code, std::string(refusal.reason->reason), refusal.message);
}

}  // namespace nmp::server
