#include "base/async/resolver.hpp"

#include <map>
#include <optional>

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <netdb.h>

#include "base/async/event.hpp"
#include "base/owned.hpp"

namespace nmp::async {

namespace {

/// One try with a server; two tries with each.
constexpr int kTryMs = 1500;
constexpr int kTries = 2;

using Descriptor = boost::asio::posix::stream_descriptor;
using ChannelHandle = Owned<ares_channeldata, &ares_destroy>;

/// c-ares wants it once a process, before all else.
int library() {
  static const int code = ares_library_init(ARES_LIB_INIT_ALL);
  return code;
}

Error error_of(int status) {
  const bool unknown = status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
  return {make_error_code(unknown ? Errc::not_found : Errc::io), std::string("dns: ") + ares_strerror(status)};
}

/// One question, on a channel of its own so that it can be stopped alone. Shared with the waits on its sockets.
class Lookup : public std::enable_shared_from_this<Lookup> {
 public:
  explicit Lookup(const Executor& executor) : executor_(executor), done_(executor) {}
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() = default;

  Result<void> open(const std::string& servers) {
    ares_options options{};
    options.timeout = kTryMs;
    options.tries = kTries;
    options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) noexcept {
      static_cast<Lookup*>(self)->watch(socket, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    ares_channel channel = nullptr;
    auto status = library();
    if (status == ARES_SUCCESS)
      status = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    channel_.reset(channel);
    if (status == ARES_SUCCESS && !servers.empty()) status = ares_set_servers_ports_csv(channel, servers.c_str());
    if (status != ARES_SUCCESS) return fail(error_of(status));
    return {};
  }

  void ask_addresses(const std::string& name, bool is_v6) {
    ares_addrinfo_hints hints{};
    hints.ai_flags = ARES_AI_NOSORT;
    hints.ai_family = is_v6 ? AF_INET6 : AF_INET;
    ares_getaddrinfo(
        channel_.get(), name.c_str(), nullptr, &hints,
        [](void* self, int status, int, ares_addrinfo* info) noexcept {
          static_cast<Lookup*>(self)->on_addresses(status, info);
          ares_freeaddrinfo(info);
        },
        this);
  }
  void ask_texts(const std::string& name) {
    ares_query(
        channel_.get(), name.c_str(), ns_c_in, ns_t_txt,
        [](void* self, int status, int, unsigned char* answer, int size) noexcept {
          static_cast<Lookup*>(self)->on_texts(status, answer, size);
        },
        this);
  }

  /// Until the answer is there. Errors: as of Resolver.
  Awaitable<Result<void>> wait(Instant deadline) {
    while (!status_) {
      timeval most{.tv_sec = 1, .tv_usec = 0};
      timeval next{};
      ares_timeout(channel_.get(), &most, &next);
      const auto tick =
          system_clock().now() + std::chrono::seconds(next.tv_sec) + std::chrono::microseconds(next.tv_usec);
      auto woken = co_await done_.wait(std::min(tick, deadline));
      if (status_) break;
      if (!woken && (woken.error().code != Errc::deadline_exceeded || tick >= deadline)) co_return woken;
      ares_process_fd(channel_.get(), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    if (*status_ != ARES_SUCCESS) co_return fail(error_of(*status_));
    co_return Result<void>();
  }
  /// Ends the question. What is asked still hears of it here, and nothing calls back afterwards.
  void close() {
    channel_.reset();
    sockets_.clear();
  }

  std::vector<SocketAddress> addresses;
  std::vector<std::string> texts;

 private:
  struct Watched {
    explicit Watched(const Executor& executor, ares_socket_t socket) : descriptor(executor, socket) {}
    Descriptor descriptor;
    bool wants_read = false, wants_write = false;
    bool waits_read = false, waits_write = false;
  };

  void watch(ares_socket_t socket, bool readable, bool writable) {
    auto it = sockets_.find(socket);
    if (!readable && !writable) {
      if (it == sockets_.end()) return;
      it->second->descriptor.release();  // c-ares closes it
      sockets_.erase(it);
      return;
    }
    if (it == sockets_.end()) it = sockets_.emplace(socket, std::make_shared<Watched>(executor_, socket)).first;
    it->second->wants_read = readable;
    it->second->wants_write = writable;
    arm(it->second);
  }
  void arm(const std::shared_ptr<Watched>& watched) {
    if (watched->wants_read && !std::exchange(watched->waits_read, watched->wants_read)) await(watched, true);
    if (watched->wants_write && !std::exchange(watched->waits_write, watched->wants_write)) await(watched, false);
  }
  void await(const std::shared_ptr<Watched>& watched, bool read) {
    const auto kind = read ? Descriptor::wait_read : Descriptor::wait_write;
    watched->descriptor.async_wait(kind, [self = shared_from_this(), watched, read](boost::system::error_code error) {
      (read ? watched->waits_read : watched->waits_write) = false;
      if (error || self->channel_ == nullptr || !watched->descriptor.is_open()) return;
      const auto socket = watched->descriptor.native_handle();
      ares_process_fd(self->channel_.get(), read ? socket : ARES_SOCKET_BAD, read ? ARES_SOCKET_BAD : socket);
      if (watched->descriptor.is_open()) self->arm(watched);
    });
  }

  void finish(int status) {
    status_ = status;
    done_.notify_all();
  }
  void on_addresses(int status, const ares_addrinfo* info) {
    for (const auto* node = info == nullptr ? nullptr : info->nodes; node != nullptr; node = node->ai_next) {
      SocketAddress address;
      if (node->ai_family == AF_INET) {
        std::memcpy(address.ip.data(), &reinterpret_cast<const sockaddr_in*>(node->ai_addr)->sin_addr, 4);
      } else if (node->ai_family == AF_INET6) {
        address.is_v6 = true;
        std::memcpy(address.ip.data(), &reinterpret_cast<const sockaddr_in6*>(node->ai_addr)->sin6_addr, 16);
      } else {
        continue;
      }
      addresses.push_back(address);
    }
    finish(status);
  }
  void on_texts(int status, const unsigned char* answer, int size) {
    ares_txt_ext* list = nullptr;
    if (status == ARES_SUCCESS) status = ares_parse_txt_reply_ext(answer, size, &list);
    for (const auto* part = list; part != nullptr; part = part->next) {
      if (part->record_start != 0 || texts.empty()) texts.emplace_back();
      texts.back().append(reinterpret_cast<const char*>(part->txt), part->length);
    }
    if (list != nullptr) ares_free_data(list);
    finish(status);
  }

  Executor executor_;
  Event done_;
  std::map<ares_socket_t, std::shared_ptr<Watched>> sockets_;
  std::optional<int> status_;
  ChannelHandle channel_;
};

class SystemResolver final : public Resolver {
 public:
  SystemResolver(Executor executor, std::string servers)
      : executor_(std::move(executor)), servers_(std::move(servers)) {}

  Awaitable<Result<std::vector<SocketAddress>>> addresses(std::string name, bool is_v6, Instant deadline) override {
    auto lookup = std::make_shared<Lookup>(executor_);
    NMP_CO_CHECK(lookup->open(servers_));
    lookup->ask_addresses(name, is_v6);
    auto done = co_await lookup->wait(deadline);
    lookup->close();
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return std::move(lookup->addresses);
  }
  Awaitable<Result<std::vector<std::string>>> texts(std::string name, Instant deadline) override {
    auto lookup = std::make_shared<Lookup>(executor_);
    NMP_CO_CHECK(lookup->open(servers_));
    lookup->ask_texts(name);
    auto done = co_await lookup->wait(deadline);
    lookup->close();
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return std::move(lookup->texts);
  }

 private:
  Executor executor_;
  std::string servers_;
};

}  // namespace

std::unique_ptr<Resolver> system_resolver(const Executor& executor, std::string servers) {
  return std::make_unique<SystemResolver>(executor, std::move(servers));
}

}  // namespace nmp::async
