#pragma once

#include <memory>

namespace nmp {

template <auto deleter>
struct CallDeleter {
  template <class T>
  void operator()(T* handle) const noexcept {
    (void)deleter(handle);
  }
};

/// A C handle with its C deleter: `using Key = Owned<EVP_PKEY, &EVP_PKEY_free>;`
template <class T, auto deleter>
using Owned = std::unique_ptr<T, CallDeleter<deleter>>;

/// Lets a C function fill an Owned through `T**`: `nghttp2_session_client_new(out(session_), ...)`.
template <class T, class D>
class OutPtr {
 public:
  explicit OutPtr(std::unique_ptr<T, D>& target) : target_(target) {}
  OutPtr(const OutPtr&) = delete;
  OutPtr& operator=(const OutPtr&) = delete;
  ~OutPtr() {
    if (raw_ != nullptr) target_.reset(raw_);
  }
  operator T**() { return &raw_; }  // NOLINT(google-explicit-constructor): stands for `T**` in C calls

 private:
  std::unique_ptr<T, D>& target_;
  T* raw_ = nullptr;
};
template <class T, class D>
[[nodiscard]] OutPtr<T, D> out(std::unique_ptr<T, D>& target) {
  return OutPtr<T, D>(target);
}

}  // namespace nmp
