#include "base/async/tcp.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/async/with_deadline.hpp"

namespace nmp::async {

namespace asio = boost::asio;
using asio::ip::tcp;
using Local = asio::local::stream_protocol;
using Generic = asio::generic::stream_protocol;

namespace {

Error error_of(const boost::system::error_code& error, const char* call) {
  if (error == asio::error::operation_aborted) return {make_error_code(Errc::closed), call};
  if (error == asio::error::eof || error == asio::error::connection_reset || error == asio::error::broken_pipe ||
      error == asio::error::bad_descriptor || error == asio::error::not_connected)
    return {make_error_code(Errc::closed), error.message()};
  return {make_error_code(Errc::io), std::string(call) + ": " + error.message()};
}

Awaitable<bool> is_cancelled() {
  auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

tcp::endpoint endpoint_of(const SocketAddress& address) {
  if (address.is_v6) {
    asio::ip::address_v6::bytes_type ip{};
    std::memcpy(ip.data(), address.ip.data(), ip.size());
    return {asio::ip::address_v6(ip, address.scope_id), address.port};
  }
  asio::ip::address_v4::bytes_type ip{};
  std::memcpy(ip.data(), address.ip.data(), ip.size());
  return {asio::ip::address_v4(ip), address.port};
}

SocketAddress socket_address_of(const tcp::endpoint& endpoint) {
  SocketAddress out;
  out.is_v6 = endpoint.address().is_v6();
  out.port = endpoint.port();
  auto copy = [&out](const auto& bytes) { std::memcpy(out.ip.data(), bytes.data(), bytes.size()); };
  if (out.is_v6) {
    copy(endpoint.address().to_v6().to_bytes());
    out.scope_id = static_cast<std::uint32_t>(endpoint.address().to_v6().scope_id());
  } else {
    copy(endpoint.address().to_v4().to_bytes());
  }
  return out;
}

class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(Generic::socket socket) : socket_(std::move(socket)) {}

  Awaitable<Result<std::size_t>> read_some(std::span<std::byte> buffer) override {
    if (co_await is_cancelled()) co_return fail(Errc::cancelled);
    boost::system::error_code error;
    auto size = co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()),
                                                 asio::redirect_error(asio::use_awaitable, error));
    if (co_await is_cancelled()) co_return fail(Errc::cancelled);
    if (error == asio::error::eof) co_return std::size_t{0};
    if (error) co_return fail(error_of(error, "read"));
    co_return size;
  }

  Awaitable<Result<void>> write(ByteView data) override {
    if (co_await is_cancelled()) co_return fail(Errc::cancelled);
    boost::system::error_code error;
    co_await asio::async_write(socket_, asio::buffer(data.data(), data.size()),
                               asio::redirect_error(asio::use_awaitable, error));
    if (co_await is_cancelled()) co_return fail(Errc::cancelled);
    if (error) co_return fail(error_of(error, "write"));
    co_return Result<void>();
  }

  Awaitable<Result<void>> close_write() override {
    boost::system::error_code error;
    socket_.shutdown(Generic::socket::shutdown_send, error);
    if (error) co_return fail(error_of(error, "shutdown"));
    co_return Result<void>();
  }

  void reset(std::uint64_t /*code*/) noexcept override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  Generic::socket socket_;
};

}  // namespace

class StreamListener::Impl {
 public:
  explicit Impl(const Executor& executor) : tcp_acceptor(executor), local_acceptor(executor) {}
  tcp::acceptor tcp_acceptor;
  Local::acceptor local_acceptor;
  std::string path;
  std::uint16_t port = 0;
  void close() {
    boost::system::error_code ignored;
    tcp_acceptor.close(ignored);
    if (local_acceptor.is_open()) {
      local_acceptor.close(ignored);
      ::unlink(path.c_str());
    }
  }
};

StreamListener::StreamListener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
StreamListener::~StreamListener() { impl_->close(); }

Result<std::unique_ptr<StreamListener>> StreamListener::tcp(const Executor& executor, const SocketAddress& address) {
  auto impl = std::make_shared<Impl>(executor);
  auto endpoint = endpoint_of(address);
  boost::system::error_code error;
  auto& acceptor = impl->tcp_acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && address.is_v6) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(error_of(error, "listen"));
  impl->port = acceptor.local_endpoint(error).port();
  return std::unique_ptr<StreamListener>(new StreamListener(std::move(impl)));
}

Result<std::unique_ptr<StreamListener>> StreamListener::unix_socket(const Executor& executor, const std::string& path) {
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) return fail(Errc::too_large, "socket path");
  auto impl = std::make_shared<Impl>(executor);
  boost::system::error_code error;
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) return fail(Errc::already_exists, path);
    Local::socket probe(executor);
    probe.connect(Local::endpoint(path), error);
    if (!error) return fail(Errc::already_exists, path);
    ::unlink(path.c_str());
  }
  auto& acceptor = impl->local_acceptor;
  error = {};
  acceptor.open(Local(), error);
  auto mask = ::umask(0177);
  if (!error) acceptor.bind(Local::endpoint(path), error);
  ::umask(mask);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(error_of(error, "listen"));
  impl->path = path;
  return std::unique_ptr<StreamListener>(new StreamListener(std::move(impl)));
}

std::uint16_t StreamListener::port() const { return impl_->port; }
void StreamListener::close() { impl_->close(); }

Awaitable<Result<StreamListener::Accepted>> StreamListener::accept() {
  auto impl = impl_;
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  boost::system::error_code error;
  Accepted accepted;
  if (impl->tcp_acceptor.is_open()) {
    tcp::socket socket(impl->tcp_acceptor.get_executor());
    co_await impl->tcp_acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      auto remote = socket.remote_endpoint(ignored);
      auto host = remote.address().to_string();
      if (remote.address().is_v6()) host = "[" + host + "]";
      accepted.address = host + ":" + std::to_string(remote.port());
      accepted.remote = socket_address_of(remote);
      accepted.stream = std::make_unique<SocketStream>(Generic::socket(std::move(socket)));
    }
  } else if (impl->local_acceptor.is_open()) {
    Local::socket socket(impl->local_acceptor.get_executor());
    co_await impl->local_acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    accepted.address = "unix";
    if (!error) accepted.stream = std::make_unique<SocketStream>(Generic::socket(std::move(socket)));
  } else {
    co_return fail(Errc::closed);
  }
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  if (error) co_return fail(error_of(error, "accept"));
  co_return std::move(accepted);
}

namespace {
template <class Protocol>
Awaitable<Result<ByteStreamPtr>> dial(typename Protocol::endpoint endpoint) {
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  typename Protocol::socket socket(co_await asio::this_coro::executor);
  boost::system::error_code error;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (co_await is_cancelled()) co_return fail(Errc::cancelled);
  if (error) co_return fail(Errc::io, "connect: " + error.message());
  boost::system::error_code ignored;
  if constexpr (std::is_same_v<Protocol, tcp>) socket.set_option(tcp::no_delay(true), ignored);
  ByteStreamPtr stream = std::make_unique<SocketStream>(Generic::socket(std::move(socket)));
  co_return std::move(stream);
}
}  // namespace

Awaitable<Result<ByteStreamPtr>> dial_tcp(SocketAddress address, Instant deadline) {
  co_return co_await with_deadline(deadline, dial<tcp>(endpoint_of(address)));
}
Awaitable<Result<ByteStreamPtr>> dial_unix(std::string path, Instant deadline) {
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) co_return fail(Errc::too_large, "socket path");
  Local::endpoint endpoint(path);
  co_return co_await with_deadline(deadline, dial<Local>(endpoint));
}

}  // namespace nmp::async
