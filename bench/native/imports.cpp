// The filter ABI without a host: no inputs, and events go nowhere.
#include "nmp.h"

void nmp_push_event(const void*, size_t) {}
int32_t nmp_try_event(const void*, size_t) { return 0; }
int64_t nmp_input_size(const char*, size_t) { return NMP_E_NOT_FOUND; }
int32_t nmp_input_read(const char*, size_t, int64_t, void*, size_t) { return NMP_E_NOT_FOUND; }
int32_t nmp_state_get(void*, size_t) { return NMP_E_NO_STATE; }
int32_t nmp_state_put(const void*, size_t) { return NMP_E_NO_STATE; }
int32_t nmp_wait(int64_t, int32_t) { return NMP_E_NOT_AVAILABLE; }
