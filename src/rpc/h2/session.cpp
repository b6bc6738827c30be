#include "rpc/h2/session.hpp"

#include <deque>
#include <optional>
#include <unordered_map>

#include <nghttp2/nghttp2.h>

#include "base/codec.hpp"
#include "base/owned.hpp"
#include "rpc/h2/limits.hpp"

namespace nmp::h2 {

namespace {

constexpr std::size_t kFrameHeaderBytes = 9;  // RFC 9113 section 4.1

class Bucket {
 public:
  explicit Bucket(Rate rate) : rate_(rate), tokens_(rate.burst) {}
  bool take(Instant now) {
    if (last_ != Instant() && now > last_) {
      double seconds = std::chrono::duration<double>(now - last_).count();
      tokens_ = std::min<double>(rate_.burst, tokens_ + seconds * rate_.per_second);
    }
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  Rate rate_;
  double tokens_;
  Instant last_{};
};

nghttp2_nv nv_of(const std::pair<std::string, std::string>& header) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.first.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(header.second.data())), header.first.size(),
          header.second.size(), NGHTTP2_NV_FLAG_NONE};
}
std::vector<nghttp2_nv> nvs_of(const Headers& headers) {
  std::vector<nghttp2_nv> out;
  out.reserve(headers.size());
  for (const auto& header : headers) out.push_back(nv_of(header));
  return out;
}

}  // namespace

const std::string* find(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers)
    if (key == name) return &value;
  return nullptr;
}

class Session::Impl {
 public:
  Impl(Role role, SessionOptions options, SessionObserver& observer) : role_(role), observer_(observer) {
    Owned<nghttp2_session_callbacks, &nghttp2_session_callbacks_del> callbacks;
    NMP_ASSERT(nghttp2_session_callbacks_new(out(callbacks)) == 0);
    auto* c = callbacks.get();
    nghttp2_session_callbacks_set_on_begin_headers_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
          return of(self).begin_headers(*frame);
        });
    nghttp2_session_callbacks_set_on_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
              const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* self) noexcept {
          return of(self).header(*frame, text_of(view_of(name, name_size)), text_of(view_of(value, value_size)));
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept { return of(self).frame(*frame); });
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
        c, [](nghttp2_session*, const nghttp2_frame*, int, void* self) noexcept {
          return of(self).count(of(self).resets_);
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        c, [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
              void* self) noexcept { return of(self).data(id, view_of(data, size)); });
    nghttp2_session_callbacks_set_on_frame_send_callback(
        c,
        [](nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept { return of(self).frame_sent(*frame); });
    nghttp2_session_callbacks_set_on_frame_not_send_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, int, void* self) noexcept {
          return of(self).frame_not_sent(*frame);
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        c, [](nghttp2_session*, std::int32_t id, std::uint32_t code, void* self) noexcept {
          return of(self).closed(id, code);
        });

    Owned<nghttp2_option, &nghttp2_option_del> option;
    NMP_ASSERT(nghttp2_option_new(out(option)) == 0);
    nghttp2_option_set_no_auto_window_update(option.get(), 1);
    nghttp2_option_set_no_closed_streams(option.get(), 1);
    nghttp2_option_set_max_outbound_ack(option.get(), kOutboundAcksMax);
    nghttp2_option_set_max_settings(option.get(), kSettingsEntriesMax);
    nghttp2_option_set_max_continuations(option.get(), kContinuationsMax);
    // Counted here instead, with an error code that says what happened.
    nghttp2_option_set_stream_reset_rate_limit(option.get(), UINT32_MAX, UINT32_MAX);
    if (role == Role::server) skip_ = NGHTTP2_CLIENT_MAGIC_LEN;
    if (role == Role::server)
      NMP_ASSERT(nghttp2_session_server_new2(out(session_), c, this, option.get()) == 0);
    else
      NMP_ASSERT(nghttp2_session_client_new2(out(session_), c, this, option.get()) == 0);

    std::vector<nghttp2_settings_entry> settings{
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(options.initial_window_bytes)},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<std::uint32_t>(options.streams_max)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(kHeaderListBytesMax)}};
    if (role == Role::client) settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
    NMP_ASSERT(nghttp2_submit_settings(get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
    nghttp2_session_set_local_window_size(get(), 0, 0, static_cast<std::int32_t>(options.connection_window_bytes));
  }

  Result<void> receive(ByteView bytes, Instant now) {
    if (failed_) return fail(Errc::ended);
    now_ = now;
    scan(bytes);
    if (flooded_) {
      failed_ = true;
      nghttp2_session_terminate_session(get(), NGHTTP2_ENHANCE_YOUR_CALM);
      return fail(Errc::flooded);
    }
    if (pushed_) {
      failed_ = true;
      nghttp2_session_terminate_session(get(), NGHTTP2_PROTOCOL_ERROR);
      return fail(Errc::protocol, "PUSH_PROMISE");
    }
    auto taken = nghttp2_session_mem_recv(get(), u8(bytes), bytes.size());
    if (taken >= 0) {
      // nghttp2 answers a violation by queueing GOAWAY and taking nothing more.
      if (nghttp2_session_want_read(get()) == 0) failed_ = true;
      return {};
    }
    failed_ = true;
    auto code = static_cast<int>(taken);
    bool calm = flooded_ || code == NGHTTP2_ERR_FLOODED || code == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS ||
                code == NGHTTP2_ERR_TOO_MANY_SETTINGS;
    nghttp2_session_terminate_session(get(), calm ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
    return calm ? fail(Errc::flooded) : fail(Errc::protocol, nghttp2_strerror(code));
  }

  void produce(Bytes& to, std::size_t size_max) {
    while (to.size() < size_max) {
      const std::uint8_t* data = nullptr;
      auto size = nghttp2_session_mem_send(get(), &data);
      if (size < 0) failed_ = true;
      if (size <= 0) return;
      append(to, view_of(data, static_cast<std::size_t>(size)));
    }
  }

  [[nodiscard]] bool ended() {
    return failed_ || (nghttp2_session_want_read(get()) == 0 && nghttp2_session_want_write(get()) == 0);
  }

  Result<StreamId> open(const Headers& headers) {
    auto nvs = nvs_of(headers);
    nghttp2_data_provider body{{.ptr = nullptr}, &read_body};
    auto id = nghttp2_submit_request(get(), nullptr, nvs.data(), nvs.size(), &body, nullptr);
    if (id < 0) return fail(Errc::refused, nghttp2_strerror(id));
    bodies_.try_emplace(id);
    return id;
  }
  void respond(StreamId id, const Headers& headers) {
    auto it = bodies_.find(id);
    if (it == bodies_.end()) return;
    auto nvs = nvs_of(headers);
    nghttp2_data_provider body{{.ptr = nullptr}, &read_body};
    (void)nghttp2_submit_response(get(), id, nvs.data(), nvs.size(), &body);
  }
  void respond_only(StreamId id, const Headers& headers) {
    if (!bodies_.contains(id)) return;
    auto nvs = nvs_of(headers);
    (void)nghttp2_submit_response(get(), id, nvs.data(), nvs.size(), nullptr);
  }
  void send(StreamId id, Bytes bytes) {
    auto it = bodies_.find(id);
    if (it == bodies_.end() || it->second.ended || bytes.empty()) return;
    it->second.queued += bytes.size();
    it->second.chunks.push_back(std::move(bytes));
    resume(id, it->second);
  }
  void end(StreamId id) {
    auto it = bodies_.find(id);
    if (it == bodies_.end()) return;
    it->second.ended = true;
    resume(id, it->second);
  }
  void end_with(StreamId id, Headers trailers) {
    auto it = bodies_.find(id);
    if (it == bodies_.end()) return;
    it->second.trailers = std::move(trailers);
    end(id);
  }
  [[nodiscard]] std::size_t queued(StreamId id) const {
    auto it = bodies_.find(id);
    return it == bodies_.end() ? 0 : it->second.queued;
  }
  void reset(StreamId id, std::uint32_t error_code) {
    auto it = bodies_.find(id);
    if (it == bodies_.end()) return;
    it->second.chunks.clear();
    it->second.queued = it->second.front_sent = 0;
    nghttp2_submit_rst_stream(get(), NGHTTP2_FLAG_NONE, id, error_code);
  }

  void set_streams_max(std::size_t streams) {
    nghttp2_settings_entry entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, static_cast<std::uint32_t>(streams)};
    nghttp2_submit_settings(get(), NGHTTP2_FLAG_NONE, &entry, 1);
  }
  void shutdown() {
    nghttp2_submit_goaway(get(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(get()), NGHTTP2_NO_ERROR,
                          nullptr, 0);
  }
  nghttp2_session* get() { return session_.get(); }

 private:
  struct Body {
    std::deque<Bytes> chunks;
    std::size_t front_sent = 0;  // of the first chunk
    std::size_t queued = 0;
    bool ended = false;
    bool waiting = false;  // nghttp2 has been told that there is nothing
    std::optional<Headers> trailers;
  };

  static Impl& of(void* self) { return *static_cast<Impl*>(self); }

  static ssize_t read_body(nghttp2_session*,
                           std::int32_t id,
                           std::uint8_t* buffer,
                           std::size_t size,
                           std::uint32_t* flags,
                           nghttp2_data_source*,
                           void* self) noexcept {
    return of(self).fill(id, std::span(reinterpret_cast<std::byte*>(buffer), size), *flags);
  }

  ssize_t fill(StreamId id, std::span<std::byte> buffer, std::uint32_t& flags) {
    auto it = bodies_.find(id);
    if (it == bodies_.end()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    auto& body = it->second;
    if (body.queued == 0 && !body.ended) {
      body.waiting = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    std::size_t filled = 0;
    while (filled < buffer.size() && !body.chunks.empty()) {
      auto rest = ByteView(body.chunks.front()).subspan(body.front_sent);
      auto part = rest.first(std::min(rest.size(), buffer.size() - filled));
      std::ranges::copy(part, buffer.begin() + static_cast<std::ptrdiff_t>(filled));
      filled += part.size();
      body.front_sent += part.size();
      if (part.size() == rest.size()) {
        body.chunks.pop_front();
        body.front_sent = 0;
      }
    }
    body.queued -= filled;
    if (body.queued == 0 && body.ended) {
      flags |= NGHTTP2_DATA_FLAG_EOF;
      if (body.trailers) {
        flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        auto nvs = nvs_of(*body.trailers);
        (void)nghttp2_submit_trailer(get(), id, nvs.data(), nvs.size());
      }
    }
    observer_.on_sent(id);
    return static_cast<ssize_t>(filled);
  }

  void resume(StreamId id, Body& body) {
    if (!body.waiting) return;
    body.waiting = false;
    nghttp2_session_resume_data(get(), id);
  }

  int count(Bucket& bucket) {
    if (bucket.take(now_)) return 0;
    flooded_ = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  // nghttp2 tells of neither the frames that it ignores nor of CONTINUATION, so frames are counted by their headers
  // first.
  void scan(ByteView bytes) {
    while (!bytes.empty() && !flooded_) {
      if (skip_ > 0) {
        auto size = std::min(skip_, bytes.size());
        skip_ -= size;
        bytes = bytes.subspan(size);
        continue;
      }
      auto size = std::min(kFrameHeaderBytes - frame_header_.size(), bytes.size());
      append(frame_header_, bytes.first(size));
      bytes = bytes.subspan(size);
      if (frame_header_.size() < kFrameHeaderBytes) return;
      Reader reader(frame_header_);
      auto word = reader.u32be();
      auto flags = reader.u8();
      NMP_ASSERT(word && flags);
      skip_ = *word >> 8U;
      (void)count_frame(static_cast<std::uint8_t>(*word & 0xffU), *flags, skip_);
      frame_header_.clear();
    }
  }

  int count_frame(std::uint8_t type, std::uint8_t flags, std::size_t length) {
    switch (type) {
      case NGHTTP2_DATA: return length == 0 && (flags & NGHTTP2_FLAG_END_STREAM) == 0 ? count(empty_data_) : 0;
      case NGHTTP2_RST_STREAM: return count(resets_);
      case NGHTTP2_SETTINGS: return (flags & NGHTTP2_FLAG_ACK) == 0 ? count(settings_) : 0;
      case NGHTTP2_PING: return (flags & NGHTTP2_FLAG_ACK) == 0 ? count(pings_) : 0;
      case NGHTTP2_WINDOW_UPDATE: return count(window_updates_);
      case NGHTTP2_PUSH_PROMISE:
        // Whoever has a request of ours to push for has seen our SETTINGS_ENABLE_PUSH 0; nghttp2 forgives it until the
        // acknowledgement. A server never gets one at all (RFC 9113 section 8.4).
        pushed_ = true;
        return 0;
      case NGHTTP2_HEADERS:
      case NGHTTP2_GOAWAY:
      case NGHTTP2_CONTINUATION: return 0;
      default: return count(idle_frames_);
    }
  }

  int begin_headers(const nghttp2_frame& frame) {
    header_bytes_ = 0;
    headers_.clear();
    if (role_ == Role::server && frame.headers.cat == NGHTTP2_HCAT_REQUEST) bodies_.try_emplace(frame.hd.stream_id);
    return 0;
  }

  int header(const nghttp2_frame& frame, std::string_view name, std::string_view value) {
    header_bytes_ += name.size() + value.size() + 32;
    if (header_bytes_ > kHeaderListBytesFatal) {
      flooded_ = true;
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (header_bytes_ > kHeaderListBytesMax || headers_.size() >= kHeaderFieldsMax) {
      if (oversize_ != frame.hd.stream_id) {
        headers_.clear();
        reset(frame.hd.stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
        oversize_ = frame.hd.stream_id;
      }
      return 0;
    }
    headers_.emplace_back(name, value);
    return 0;
  }

  int frame(const nghttp2_frame& frame) {
    auto id = frame.hd.stream_id;
    switch (frame.hd.type) {
      case NGHTTP2_HEADERS: {
        auto headers = std::exchange(headers_, {});
        if (oversize_ == id) break;
        // Also after the first interim response, which nghttp2 then calls NGHTTP2_HCAT_HEADERS like trailers.
        const auto* status = role_ == Role::client ? find(headers, ":status") : nullptr;
        bool interim = status != nullptr && status->starts_with('1');
        if (interim) break;
        bool trailers = frame.headers.cat == NGHTTP2_HCAT_HEADERS && find(headers, ":status") == nullptr;
        observer_.on_headers(id, std::move(headers), trailers);
        if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) observer_.on_end(id);
        break;
      }
      case NGHTTP2_DATA:
        if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) observer_.on_end(id);
        break;
      case NGHTTP2_GOAWAY: observer_.on_goaway(frame.goaway.last_stream_id, frame.goaway.error_code); break;
      case NGHTTP2_PING:
        if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) {
          std::uint64_t opaque = 0;
          for (std::uint8_t byte : frame.ping.opaque_data) opaque = opaque << 8U | byte;
          observer_.on_pong(opaque);
        }
        break;
      default: break;
    }
    return 0;
  }

  int data(StreamId id, ByteView bytes) {
    if (!bodies_.contains(id)) {
      nghttp2_session_consume_connection(get(), bytes.size());
      return 0;
    }
    observer_.on_data(id, bytes);
    return 0;
  }

  // A server that has answered in full needs no more of the request (RFC 9113 section 8.1).
  int frame_sent(const nghttp2_frame& frame) {
    auto id = frame.hd.stream_id;
    bool ends = (frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA) &&
                (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (role_ == Role::server && ends && nghttp2_session_get_stream_remote_close(get(), id) == 0)
      nghttp2_submit_rst_stream(get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
  }

  // A request that never left: cancelled while it waited for a free stream, or GOAWAY came first.
  int frame_not_sent(const nghttp2_frame& frame) {
    if (frame.hd.type != NGHTTP2_HEADERS || frame.headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    return closed(frame.hd.stream_id, NGHTTP2_REFUSED_STREAM);
  }

  int closed(StreamId id, std::uint32_t code) {
    if (bodies_.erase(id) != 0) observer_.on_closed(id, code);
    return 0;
  }

  Role role_;
  SessionObserver& observer_;
  Owned<nghttp2_session, &nghttp2_session_del> session_;
  std::unordered_map<StreamId, Body> bodies_;
  Headers headers_;
  std::size_t header_bytes_ = 0;
  StreamId oversize_ = 0;
  Bytes frame_header_;    // of the frame that scan() is in
  std::size_t skip_ = 0;  // bytes until the next one
  bool failed_ = false;
  bool flooded_ = false;
  bool pushed_ = false;
  Instant now_{};
  Bucket resets_{kResetRate}, pings_{kPingRate}, settings_{kSettingsRate}, empty_data_{kEmptyDataRate},
      idle_frames_{kIdleFrameRate}, window_updates_{kWindowUpdateRate};
};

std::unique_ptr<Session> Session::make(Role role, SessionOptions options, SessionObserver& observer) {
  return std::unique_ptr<Session>(new Session(std::make_unique<Impl>(role, options, observer)));
}
Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

Result<void> Session::receive(ByteView bytes, Instant now) { return impl_->receive(bytes, now); }
void Session::produce(Bytes& out, std::size_t size_max) { impl_->produce(out, size_max); }
bool Session::ended() const { return impl_->ended(); }
Result<StreamId> Session::open(const Headers& headers) { return impl_->open(headers); }
void Session::respond(StreamId id, const Headers& headers) { impl_->respond(id, headers); }
void Session::respond_only(StreamId id, const Headers& headers) { impl_->respond_only(id, headers); }
void Session::send(StreamId id, Bytes bytes) { impl_->send(id, std::move(bytes)); }
void Session::end(StreamId id) { impl_->end(id); }
void Session::end_with(StreamId id, Headers trailers) { impl_->end_with(id, std::move(trailers)); }
std::size_t Session::queued(StreamId id) const { return impl_->queued(id); }
void Session::reset(StreamId id, std::uint32_t error_code) { impl_->reset(id, error_code); }
void Session::consume(StreamId id, std::size_t size) { nghttp2_session_consume_stream(impl_->get(), id, size); }
void Session::consume_connection(std::size_t size) { nghttp2_session_consume_connection(impl_->get(), size); }
void Session::set_window(StreamId id, std::size_t bytes) {
  nghttp2_session_set_local_window_size(impl_->get(), NGHTTP2_FLAG_NONE, id, static_cast<std::int32_t>(bytes));
}
void Session::set_connection_window(std::size_t bytes) { set_window(0, bytes); }
void Session::set_streams_max(std::size_t streams) { impl_->set_streams_max(streams); }
void Session::ping(std::uint64_t opaque) {
  std::array<std::uint8_t, 8> data{};
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(opaque >> (56 - 8 * i));
  nghttp2_submit_ping(impl_->get(), NGHTTP2_FLAG_NONE, data.data());
}
void Session::announce_shutdown() { nghttp2_submit_shutdown_notice(impl_->get()); }
void Session::shutdown() { impl_->shutdown(); }
void Session::terminate(std::uint32_t error_code) { nghttp2_session_terminate_session(impl_->get(), error_code); }

}  // namespace nmp::h2
