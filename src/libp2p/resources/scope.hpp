#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libp2p/resources/errors.hpp"
#include "libp2p/resources/usage.hpp"

namespace nmp::libp2p::resources {

/// One thing that is counted against ceilings: the whole host, a peer, a protocol.
class Scope {
 public:
  Scope(std::string name, const Limit& limit) : name_(std::move(name)), limit_(limit) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Whether add() would take it. Errors: exceeded.
  [[nodiscard]] Result<void> check(const Usage& more, Priority priority) const;
  /// All of it or nothing. Errors: exceeded.
  Result<void> add(const Usage& more, Priority priority);
  void remove(const Usage& less);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Limit& limit() const { return limit_; }
  [[nodiscard]] const Usage& usage() const { return usage_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  std::string name_;
  Limit limit_;
  Usage usage_;
  std::uint64_t refused_ = 0;
};

using ScopePtr = std::shared_ptr<Scope>;  // the manager's tables and the handles that count in it

/// What one handle has taken, in every scope that counts it. Gives it back when it goes.
class Holding {
 public:
  Holding() = default;
  Holding(Holding&& other) noexcept : used_(std::exchange(other.used_, {})), scopes_(std::move(other.scopes_)) {
    other.scopes_.clear();
  }
  Holding& operator=(Holding&& other) noexcept {
    if (this == &other) return *this;
    release_all();
    used_ = std::exchange(other.used_, {});
    scopes_ = std::exchange(other.scopes_, {});
    return *this;
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { release_all(); }

  /// Counts what is held in one scope more. Errors: exceeded; then nothing has changed.
  Result<void> join(ScopePtr scope);
  void leave(const ScopePtr& scope);
  /// Errors: exceeded; then nothing has changed.
  Result<void> take(const Usage& more, Priority priority = Priority::always);
  void give_back(const Usage& less);

  [[nodiscard]] const Usage& used() const { return used_; }
  [[nodiscard]] std::span<const ScopePtr> scopes() const { return scopes_; }

 private:
  void release_all();

  Usage used_;
  std::vector<ScopePtr> scopes_;
};

}  // namespace nmp::libp2p::resources
