#include "sandbox/wasmtime_engine.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <wasmtime.h>

#include "base/async/awaitable.hpp"
#include "base/encoding.hpp"
#include "sandbox/errors.hpp"
#include "sandbox/guardian/abi.hpp"
#include "sandbox/guest_api.hpp"
#include "sandbox/limits.hpp"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
/// Wasmtime's handler for traps allocates where it stands, which is a place in the guest's code: no allocator is
/// interrupted there. ThreadSanitizer cannot tell and would report every trap.
extern "C" const char* __tsan_default_options() { return "report_signal_unsafe=0"; }
#define NMP_SANITIZED_THREADS
#include <sanitizer/tsan_interface.h>
#endif
#endif

namespace nmp::sandbox {

namespace {

using ErrorPtr = Owned<wasmtime_error_t, &wasmtime_error_delete>;
using TrapPtr = Owned<wasm_trap_t, &wasm_trap_delete>;
using FunctionType = Owned<wasm_functype_t, &wasm_functype_delete>;
using ConfigPtr = Owned<wasm_config_t, &wasm_config_delete>;
using PoolPtr = Owned<wasmtime_pooling_allocation_config_t, &wasmtime_pooling_allocation_config_delete>;
using StorePtr = Owned<wasmtime_store_t, &wasmtime_store_delete>;
using EnginePtr = Owned<wasm_engine_t, &wasm_engine_delete>;
using WasmtimeModulePtr = Owned<wasmtime_module_t, &wasmtime_module_delete>;
using FuturePtr = Owned<wasmtime_call_future_t, &wasmtime_call_future_delete>;

/// Messages of Wasmtime may quote the module: cut and escaped.
std::string message_of(const wasmtime_error_t* error) {
  wasm_name_t message;
  wasmtime_error_message(error, &message);
  auto text = escape_text({message.data, message.size}, 300);
  wasm_byte_vec_delete(&message);
  return text;
}

FunctionType function_type(std::string_view type) {
  const auto arrow = type.find('>');
  auto kinds = [](std::string_view letters) {
    wasm_valtype_vec_t out;
    wasm_valtype_vec_new_uninitialized(&out, letters.size());
    for (std::size_t i = 0; i < letters.size(); ++i)
      out.data[i] = wasm_valtype_new(letters[i] == 'I' ? WASM_I64 : WASM_I32);
    return out;
  };
  auto parameters = kinds(type.substr(0, arrow));
  auto results = kinds(type.substr(arrow + 1));
  return FunctionType(wasm_functype_new(&parameters, &results));
}

/// What a linked function knows: lives as long as the process, since the table does.
struct Linked {
  const guardian::AbiFunction* abi;
  GuestApi::Function function;
};

const std::vector<Linked>& linked_functions() {
  static const std::vector<Linked> table = [] {
    std::vector<Linked> out;
    for (const auto& abi : guardian::abi_functions()) out.push_back({&abi, GuestApi::find(abi.module, abi.name)});
    return out;
  }();
  return table;
}

/// All that decides what code the compiler makes: the same for the engine that compiles and the one that runs.
ConfigPtr code_config(const WasmtimeEngine::Options& options) {
  ConfigPtr config(wasm_config_new());
  const auto guest_stack = options.many_small ? kWatchGuestStackBytes : kGuestStackBytes;
  const auto host_stack = options.many_small ? kWatchHostStackBytes : kHostStackBytes;
  wasmtime_config_consume_fuel_set(config.get(), true);
  wasmtime_config_epoch_interruption_set(config.get(), true);
  wasmtime_config_max_wasm_stack_set(config.get(), guest_stack);
  wasmtime_config_async_stack_size_set(config.get(), guest_stack + host_stack);
  wasmtime_config_shared_memory_set(config.get(), false);
  wasmtime_config_wasm_tail_call_set(config.get(), false);
  wasmtime_config_wasm_simd_set(config.get(), true);
  wasmtime_config_wasm_relaxed_simd_set(config.get(), false);
  wasmtime_config_wasm_multi_memory_set(config.get(), false);
  wasmtime_config_wasm_memory64_set(config.get(), false);
  wasmtime_config_wasm_wide_arithmetic_set(config.get(), false);
  wasmtime_config_wasm_custom_page_sizes_set(config.get(), false);
  wasmtime_config_wasm_stack_switching_set(config.get(), false);
  wasmtime_config_wasm_component_model_set(config.get(), false);
  wasmtime_config_cranelift_nan_canonicalization_set(config.get(), true);
  wasmtime_config_cranelift_opt_level_set(config.get(), WASMTIME_OPT_LEVEL_SPEED);
  // A compile has one core: the others are for runs and the network.
  wasmtime_config_parallel_compilation_set(config.get(), false);
  // A 4 GiB reservation with guards makes bounds checks free; address space is not memory. Of ten thousand it would be.
  wasmtime_config_memory_reservation_set(config.get(), options.many_small ? options.memory_bytes_max : 4ULL << 30);
  wasmtime_config_memory_guard_size_set(config.get(), options.many_small ? 64ULL << 10 : 32ULL << 20);
  wasmtime_config_memory_may_move_set(config.get(), false);
  wasmtime_config_memory_init_cow_set(config.get(), true);
  return config;
}

/// Gives what the allocator kept of a compile back to the system. A millisecond, after a hostile module tens of them.
struct TrimAtEnd {
  TrimAtEnd() = default;
  TrimAtEnd(const TrimAtEnd&) = delete;
  TrimAtEnd& operator=(const TrimAtEnd&) = delete;
  ~TrimAtEnd() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
  }
};

/// Machine code as Wasmtime serialises it.
class MachineCode {
 public:
  MachineCode() { wasm_byte_vec_new_empty(&bytes_); }
  MachineCode(const MachineCode&) = delete;
  MachineCode& operator=(const MachineCode&) = delete;
  ~MachineCode() { wasm_byte_vec_delete(&bytes_); }
  [[nodiscard]] wasm_byte_vec_t* out() { return &bytes_; }
  [[nodiscard]] ByteView view() const {
    return view_of(reinterpret_cast<const std::uint8_t*>(bytes_.data), bytes_.size);
  }

 private:
  wasm_byte_vec_t bytes_{};
};

/// Compiles in an engine of its own, which is thrown away: Cranelift's working memory, hundreds of MiB after a hostile
/// module, belongs to its engine and never shrinks. The code is then loaded into the engine that runs it.
Result<void> compile_apart(const WasmtimeEngine::Options& options, ByteView wasm, MachineCode& code) {
  const EnginePtr compiler(wasm_engine_new_with_config(code_config(options).release()));
  if (compiler == nullptr) return fail(Errc::engine_failed, "wasm_engine_new_with_config");
  wasmtime_module_t* module = nullptr;
  ErrorPtr error(wasmtime_module_new(compiler.get(), u8(wasm), wasm.size(), &module));
  if (error) return fail(Errc::invalid_module, message_of(error.get()));
  const WasmtimeModulePtr compiled(module);
  error.reset(wasmtime_module_serialize(module, code.out()));
  if (error) return fail(Errc::engine_failed, message_of(error.get()));
  return {};
}

/// `code` is run from here on: it is ours, or authentic.
Result<WasmtimeModulePtr> load(const WasmtimeEngine& engine, ByteView code) {
  wasmtime_module_t* module = nullptr;
  const ErrorPtr error(wasmtime_module_deserialize(engine.engine(), u8(code), code.size(), &module));
  if (error) return fail(Errc::invalid_module, message_of(error.get()));
  return WasmtimeModulePtr(module);
}

Result<WasmtimeModulePtr> load_or_compile(const WasmtimeEngine& engine,
                                          ByteView wasm,
                                          const std::optional<CodePlace>& place) {
  if (place) {
    if (const auto kept = place->cache->load(place->key)) {
      if (auto module = load(engine, *kept)) return module;
      place->cache->refuse(place->key);
    }
  }
  const TrimAtEnd trim;
  MachineCode code;
  NMP_CHECK(compile_apart(engine.options(), wasm, code));
  if (place) place->cache->store(place->key, code.view());
  return load(engine, code.view());
}

Instant now() { return async::system_clock().now(); }

}  // namespace

struct Guest::State {
  StorePtr store;
  wasmtime_instance_t instance{};
  wasmtime_memory_t memory{};
  wasmtime_func_t entry{};
  FuturePtr future;
  wasm_trap_t* trap = nullptr;
  wasmtime_error_t* error = nullptr;
  bool has_memory = false;
  GuestApi* api = nullptr;
  std::uint64_t fuel_given = 0;  ///< What the store had when fuel was last looked at.
  std::uint64_t fuel_spent = 0;  ///< Until then.

  /// What was used since the last look. Not while the guest computes.
  void look_at_fuel() {
    std::uint64_t left = 0;
    const ErrorPtr failed(wasmtime_context_get_fuel(wasmtime_store_context(store.get()), &left));
    if (failed) return;
    const auto used = fuel_given - std::min(left, fuel_given);
    fuel_given = left;
    fuel_spent += used;
    api->charge(used, now());
  }
  void give_fuel(std::uint64_t fuel) {
    const ErrorPtr failed(wasmtime_context_set_fuel(wasmtime_store_context(store.get()), fuel));
    if (!failed) fuel_given = fuel;
  }

  // The call that answered `wait`. Wasmtime keeps `results` and `trap_out` until the continuation says that it is done.
  const Linked* pending = nullptr;
  CallArguments arguments;
  GuestMemory pending_memory;
  wasmtime_val_t* results = nullptr;
  wasm_trap_t** trap_out = nullptr;

  [[nodiscard]] GuestMemory guest_memory(wasmtime_context_t* context) const {
    return GuestMemory(std::span(reinterpret_cast<std::byte*>(wasmtime_memory_data(context, &memory)),
                                 wasmtime_memory_data_size(context, &memory)));
  }
};

/// Guests' stacks go from one worker thread to another under a lock of Wasmtime's, which ThreadSanitizer does not see:
/// each call out of a guest tells it. Nothing in other builds.
class StackHandOver {
 public:
#ifdef NMP_SANITIZED_THREADS
  StackHandOver() { __tsan_acquire(&lock_); }
  ~StackHandOver() { __tsan_release(&lock_); }

 private:
  inline static char lock_ = 0;
#else
  StackHandOver() {}
#endif
};

/// What Wasmtime calls. Nothing here throws; the guest stands still meanwhile.
struct GuestTrampolines {
  using State = Guest::State;

  static wasm_trap_t* stopped() { return wasmtime_trap_new("nmp", 3); }

  static wasm_trap_t* call(void* env, wasmtime_caller_t* caller, wasmtime_val_raw_t* values, std::size_t) noexcept {
    const StackHandOver hand_over;
    const auto& linked = *static_cast<const Linked*>(env);
    auto* context = wasmtime_caller_context(caller);
    auto& state = *static_cast<State*>(wasmtime_context_get_data(context));
    CallArguments arguments;
    const auto type = linked.abi->type;
    const auto count = type.find('>');
    for (std::size_t i = 0; i < count; ++i)
      arguments.values.at(i) =
          type[i] == 'I' ? static_cast<std::uint64_t>(values[i].i64) : static_cast<std::uint32_t>(values[i].i32);
    const auto reply = (state.api->*linked.function)(arguments, state.guest_memory(context), now());
    if (reply.kind != Reply::Kind::value) return stopped();
    if (type.size() > count + 1) {
      if (type[count + 1] == 'I') {
        values[0].i64 = static_cast<std::int64_t>(reply.value);
      } else {
        values[0].i32 = static_cast<std::int32_t>(reply.value);
      }
    }
    return nullptr;
  }

  static void call_async(void* env,
                         wasmtime_caller_t* caller,
                         const wasmtime_val_t* values,
                         std::size_t count,
                         wasmtime_val_t* results,
                         std::size_t,
                         wasm_trap_t** trap,
                         wasmtime_async_continuation_t* continuation) noexcept {
    const StackHandOver hand_over;
    auto* context = wasmtime_caller_context(caller);
    auto& state = *static_cast<State*>(wasmtime_context_get_data(context));
    state.pending = static_cast<const Linked*>(env);
    state.arguments = {};
    for (std::size_t i = 0; i < count; ++i)
      state.arguments.values.at(i) = values[i].kind == WASMTIME_I64 ? static_cast<std::uint64_t>(values[i].of.i64)
                                                                    : static_cast<std::uint32_t>(values[i].of.i32);
    state.pending_memory = state.guest_memory(context);
    state.results = results;
    state.trap_out = trap;
    if (state.api->is_watchdog()) state.look_at_fuel();
    continuation->env = &state;
    continuation->callback = &go_on;
    continuation->finalizer = nullptr;
  }

  /// Tries the pending call; true when it is done. The guest's memory has not moved: only the guest grows it.
  static bool go_on(void* env) noexcept {
    const StackHandOver hand_over;
    auto& state = *static_cast<State*>(env);
    const auto& linked = *state.pending;
    const auto reply = (state.api->*linked.function)(state.arguments, state.pending_memory, now());
    if (reply.kind == Reply::Kind::wait) return false;
    if (reply.kind == Reply::Kind::stop) {
      *state.trap_out = stopped();
    } else if (const auto type = linked.abi->type; !type.ends_with('>')) {
      state.results[0].kind = WASMTIME_I32;
      state.results[0].of.i32 = static_cast<std::int32_t>(reply.value);
    }
    state.pending = nullptr;
    // The guest's code reads its fuel anew after each call.
    if (state.api->take_wake()) state.give_fuel(state.api->wake_fuel(now()));
    return true;
  }
};

Result<std::unique_ptr<WasmtimeEngine>> WasmtimeEngine::make(Options options) {
  auto config = code_config(options);
  PoolPtr pool(wasmtime_pooling_allocation_config_new());
  // A run that ended frees its slot a moment after its last turn.
  const auto slots = options.runs_max + 8;
  wasmtime_pooling_allocation_config_total_core_instances_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_memories_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_tables_set(pool.get(), slots * guardian::kTablesMax);
  wasmtime_pooling_allocation_config_total_stacks_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_max_memory_size_set(pool.get(),
                                                         static_cast<std::size_t>(options.memory_bytes_max));
  wasmtime_pooling_allocation_config_max_memories_per_module_set(pool.get(), 1);
  wasmtime_pooling_allocation_config_max_tables_per_module_set(pool.get(), guardian::kTablesMax);
  wasmtime_pooling_allocation_config_table_elements_set(pool.get(), guardian::kTableElementsMax);
  // Globals and tables of a module live in its instance's memory.
  wasmtime_pooling_allocation_config_max_core_instance_size_set(pool.get(), 4UL << 20);
  wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pool.get(), 16);
  wasmtime_pooling_allocation_strategy_set(config.get(), pool.get());

  std::unique_ptr<WasmtimeEngine> out(new WasmtimeEngine);
  out->options_ = options;
  out->engine_ = wasm_engine_new_with_config(config.release());
  if (out->engine_ == nullptr) return fail(Errc::engine_failed, "wasm_engine_new_with_config");
  NMP_CHECK(out->link());
  return out;
}

Result<void> WasmtimeEngine::link() {
  linker_ = wasmtime_linker_new(engine_);
  for (const auto& linked : linked_functions()) {
    const auto& abi = *linked.abi;
    NMP_ASSERT(linked.function != nullptr);
    const auto type = function_type(abi.type);
    auto* env = const_cast<Linked*>(&linked);  // NOLINT: C interface; the trampolines read it only
    ErrorPtr error;
    if (GuestApi::may_wait(abi.module, abi.name)) {
      error.reset(wasmtime_linker_define_async_func(linker_, abi.module.data(), abi.module.size(), abi.name.data(),
                                                    abi.name.size(), type.get(), &GuestTrampolines::call_async, env,
                                                    nullptr));
    } else {
      error.reset(wasmtime_linker_define_func_unchecked(linker_, abi.module.data(), abi.module.size(), abi.name.data(),
                                                        abi.name.size(), type.get(), &GuestTrampolines::call, env,
                                                        nullptr));
    }
    if (error) return fail(Errc::engine_failed, message_of(error.get()));
  }
  return {};
}

WasmtimeEngine::~WasmtimeEngine() {
  if (linker_ != nullptr) wasmtime_linker_delete(linker_);
  if (engine_ != nullptr) wasm_engine_delete(engine_);
}

Result<crypto::Digest> WasmtimeEngine::fingerprint() const {
  // WebAssembly Core, section 5.5.16: magic and version, no sections.
  static constexpr std::array<std::uint8_t, 8> kEmptyModule{0, 'a', 's', 'm', 1, 0, 0, 0};
  MachineCode code;
  NMP_CHECK(compile_apart(options_, view_of(kEmptyModule.data(), kEmptyModule.size()), code));
  return crypto::sha256(code.view());
}

void WasmtimeEngine::tick() { wasmtime_engine_increment_epoch(engine_); }

Result<std::shared_ptr<const CompiledModule>> CompiledModule::compile(std::shared_ptr<WasmtimeEngine> engine,
                                                                      ByteView wasm,
                                                                      const crypto::Digest& sha256,
                                                                      guardian::ModuleInfo info,
                                                                      const std::optional<CodePlace>& place) {
  std::shared_ptr<CompiledModule> out(new CompiledModule);
  out->engine_ = std::move(engine);
  out->info_ = std::move(info);
  out->sha256_ = sha256;
  NMP_TRY(auto module, load_or_compile(*out->engine_, wasm, place));
  out->module_ = module.release();
  const ErrorPtr error(wasmtime_linker_instantiate_pre(out->engine_->linker(), out->module_, &out->pre_));
  if (error) return fail(Errc::invalid_module, message_of(error.get()));
  void* begin = nullptr;
  void* end = nullptr;
  wasmtime_module_image_range(out->module_, &begin, &end);
  out->memory_bytes_ = static_cast<std::size_t>(static_cast<char*>(end) - static_cast<char*>(begin)) +
                       kFunctionRecordBytes * out->info_.functions;
  return std::shared_ptr<const CompiledModule>(std::move(out));
}

CompiledModule::~CompiledModule() {
  if (pre_ != nullptr) wasmtime_instance_pre_delete(pre_);
  if (module_ != nullptr) wasmtime_module_delete(module_);
}

Guest::Guest(std::shared_ptr<WasmtimeEngine> engine,
             std::shared_ptr<const CompiledModule> module,
             GuestApi& api,
             Limits limits)
    : engine_(std::move(engine)), module_(std::move(module)), api_(api), limits_(limits) {}

Guest::~Guest() { abandon(); }

bool Guest::start() {
  state_ = std::make_unique<State>();
  auto& state = *state_;
  state.api = &api_;
  state.store.reset(wasmtime_store_new(engine_->engine(), &state, nullptr));
  auto* context = wasmtime_store_context(state.store.get());
  wasmtime_store_limiter(state.store.get(), static_cast<std::int64_t>(limits_.memory_bytes),
                         guardian::kTableElementsMax,
                         /*instances=*/1, /*tables=*/guardian::kTablesMax, /*memories=*/1);
  state.fuel_given = limits_.fuel;
  if (api_.is_watchdog()) state.fuel_given = api_.wake_fuel(now());
  ErrorPtr error(wasmtime_context_set_fuel(context, state.fuel_given));
  if (error) {
    error_ = Error{make_error_code(Errc::engine_failed), message_of(error.get())};
    return false;
  }
  // Declared as returning an error in async.h; the implementation (48.0.8) returns nothing.
  (void)wasmtime_context_epoch_deadline_async_yield_and_update(context, 1);
  wasmtime_context_set_epoch_deadline(context, 1);
  {
    FuturePtr future(
        wasmtime_instance_pre_instantiate_async(module_->pre(), context, &state.instance, &state.trap, &state.error));
    // No start function runs (the guardian's rule), so nothing yields here.
    while (!wasmtime_call_future_poll(future.get())) {
    }
  }
  if (state.trap != nullptr || state.error != nullptr) {
    const TrapPtr trap(std::exchange(state.trap, nullptr));
    const ErrorPtr instantiation(std::exchange(state.error, nullptr));
    error_ = Error{make_error_code(Errc::start_failed),
                   instantiation ? message_of(instantiation.get()) : "a segment lies outside its memory or table"};
    return false;
  }
  wasmtime_extern_t item;
  if (wasmtime_instance_export_get(context, &state.instance, "memory", 6, &item)) {
    if (item.kind == WASMTIME_EXTERN_MEMORY) {
      state.memory = item.of.memory;
      state.has_memory = true;
    }
    wasmtime_extern_delete(&item);
  }
  bool has_entry = false;
  if (wasmtime_instance_export_get(context, &state.instance, "_start", 6, &item)) {
    if (item.kind == WASMTIME_EXTERN_FUNC) {
      state.entry = item.of.func;
      has_entry = true;
    }
    wasmtime_extern_delete(&item);
  }
  if (!state.has_memory || !has_entry) {
    error_ = Error{make_error_code(Errc::start_failed), "no memory or no _start"};
    return false;
  }
  state.future.reset(
      wasmtime_func_call_async(context, &state.entry, nullptr, 0, nullptr, 0, &state.trap, &state.error));
  return true;
}

Guest::Turn Guest::turn() {
  if (!state_ && !start()) {
    abandon();
    return Turn::ended;
  }
  if (!wasmtime_call_future_poll(state_->future.get()))
    return state_->pending != nullptr ? Turn::waiting : Turn::yielded;
  settle();
  abandon();
  return Turn::ended;
}

void Guest::settle() {
  const TrapPtr trap(std::exchange(state_->trap, nullptr));
  const ErrorPtr error(std::exchange(state_->error, nullptr));
  if (api_.stopped()) return;  // its own words say why
  if (trap) {
    wasmtime_trap_code_t code = 0;
    if (!wasmtime_trap_code(trap.get(), &code)) {
      error_ = Error{make_error_code(Errc::trap), "unknown trap"};
      return;
    }
    const auto say = [this](Errc errc, std::string_view what) {
      error_ = Error{make_error_code(errc), std::string(what)};
    };
    switch (code) {
      case WASMTIME_TRAP_CODE_STACK_OVERFLOW: say(Errc::stack_overflow, "the call stack is used up"); break;
      case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:
        say(Errc::memory_out_of_bounds, "an access outside the memory");
        break;
      case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
        say(Errc::unreachable, "unreachable: the filter aborted");
        break;
      case WASMTIME_TRAP_CODE_OUT_OF_FUEL: say(Errc::fuel_exhausted, "all fuel is used"); break;
      case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS: say(Errc::trap, "table out of bounds"); break;
      case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL: say(Errc::trap, "indirect call to null"); break;
      case WASMTIME_TRAP_CODE_BAD_SIGNATURE: say(Errc::trap, "indirect call of another type"); break;
      case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW: say(Errc::trap, "integer overflow"); break;
      case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO: say(Errc::trap, "integer division by zero"); break;
      case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER: say(Errc::trap, "float without an integer value"); break;
      default: say(Errc::trap, fmt::format("trap code {}", code)); break;
    }
  } else if (error) {
    error_ = Error{make_error_code(Errc::engine_failed), message_of(error.get())};
  }
}

void Guest::abandon() {
  if (!state_) return;
  state_->future.reset();  // unwinds a guest that has not ended
  if (state_->trap != nullptr) wasm_trap_delete(std::exchange(state_->trap, nullptr));
  if (state_->error != nullptr) wasmtime_error_delete(std::exchange(state_->error, nullptr));
  auto* context = wasmtime_store_context(state_->store.get());
  state_->look_at_fuel();
  fuel_used_ = state_->fuel_spent;
  if (state_->has_memory) memory_bytes_ = wasmtime_memory_data_size(context, &state_->memory);
  state_.reset();
}

}  // namespace nmp::sandbox
