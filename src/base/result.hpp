#pragma once

#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace nmp {

/// What went wrong. `code` is what callers and tests compare and the only part that may reach the wire;
/// `context` is for operators and may hold untrusted text (escape it before printing, see text.hpp).
struct Error {
  std::error_code code;
  std::string context;

  [[nodiscard]] std::string message() const {
    return context.empty() ? code.message() : code.message() + ": " + context;
  }
};

/// A value, or the reason why there is none. A class rather than an alias, so that compilers warn when one is dropped.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using value_type = T;
  using std::expected<T, Error>::expected;
};

/// Makes the error half of a Result: `return fail(Errc::truncated, "header");`
template <class Errc>
[[nodiscard]] std::unexpected<Error> fail(Errc code, std::string context = {}) {
  return std::unexpected(Error{make_error_code(code), std::move(context)});
}
[[nodiscard]] inline std::unexpected<Error> fail(std::error_code code, std::string context = {}) {
  return std::unexpected(Error{code, std::move(context)});
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

/// A std::error_category over one room's `enum class Errc`; `text` maps a code to a short phrase.
/// The phrase begins with a stable snake_case word, so that logs can be searched.
template <class Errc>
class EnumCategory final : public std::error_category {
 public:
  using Text = std::string_view (*)(Errc);
  EnumCategory(const char* room, Text text) : room_(room), text_(text) {}
  [[nodiscard]] const char* name() const noexcept override { return room_; }
  [[nodiscard]] std::string message(int value) const override {
    return std::string(room_) + "." + std::string(text_(static_cast<Errc>(value)));
  }

 private:
  const char* room_;
  Text text_;
};

/// Codes that belong to no single room.
enum class Errc {
  cancelled = 1,      ///< The caller, or the owner of the work, asked for it to stop. Never logged as a failure.
  deadline_exceeded,  ///< An absolute deadline passed first.
  truncated,          ///< Input ended before a value did.
  malformed,          ///< Input is not of its format.
  too_large,          ///< A size is over its ceiling.
  unsupported,        ///< Known to the format, not to us.
  io,                 ///< The operating system said no; the context names the call.
  closed,             ///< The other end, or we, closed it.
  not_found,
  already_exists,
  exhausted,  ///< A limit of ours is reached; the context names it.
  unavailable,
};
std::error_code make_error_code(Errc code);

[[noreturn]] inline void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
  std::abort();
}

}  // namespace nmp

template <>
struct std::is_error_code_enum<nmp::Errc> : std::true_type {};

/// For what only a bug of ours can break. Stays on in release builds. Never on peer, token or guest input.
#define NMP_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::nmp::assertion_failed(#expression, __FILE__, __LINE__))

#define NMP_CAT_(a, b) a##b
#define NMP_CAT(a, b) NMP_CAT_(a, b)

#define NMP_TRY_(tmp, declaration, expression, ret)        \
  auto tmp = (expression);                                 \
  if (!tmp) ret ::std::unexpected(std::move(tmp).error()); \
  declaration = *std::move(tmp)
#define NMP_CHECK_(tmp, expression, ret)                     \
  do {                                                       \
    auto tmp = (expression);                                 \
    if (!tmp) ret ::std::unexpected(std::move(tmp).error()); \
  } while (false)

/// `NMP_TRY(auto message, decode(bytes));` names the value or passes the error up.
#define NMP_TRY(declaration, ...) NMP_TRY_(NMP_CAT(nmp_try_, __COUNTER__), declaration, (__VA_ARGS__), return)
/// The same for Result<void>.
#define NMP_CHECK(...) NMP_CHECK_(NMP_CAT(nmp_check_, __COUNTER__), (__VA_ARGS__), return)
/// The same inside coroutines: `NMP_CO_TRY(auto n, co_await stream.read_some(buffer));`
#define NMP_CO_TRY(declaration, ...) NMP_TRY_(NMP_CAT(nmp_try_, __COUNTER__), declaration, (__VA_ARGS__), co_return)
#define NMP_CO_CHECK(...) NMP_CHECK_(NMP_CAT(nmp_check_, __COUNTER__), (__VA_ARGS__), co_return)
