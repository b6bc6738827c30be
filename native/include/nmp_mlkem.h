/* ML-KEM-768 (FIPS 203), by libcrux. All buffers are the caller's; sizes in bytes are fixed by FIPS 203, Table 3. */
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Results. On anything but NMP_MLKEM_OK the outputs are unspecified and must be erased. */
#define NMP_MLKEM_OK 0
#define NMP_MLKEM_INVALID_KEY 1 /* the key fails the checks of FIPS 203, sections 7.2 and 7.3 */
#define NMP_MLKEM_PANICKED 2

/* seed: d || z, 64 bytes (Algorithm 16). */
int32_t nmp_mlkem768_keypair(const uint8_t seed[64], uint8_t ek[1184], uint8_t dk[2400]);
/* seed: m, 32 bytes (Algorithm 17). Checks ek first. */
int32_t nmp_mlkem768_encapsulate(const uint8_t ek[1184], const uint8_t seed[32], uint8_t ct[1088], uint8_t ss[32]);
/* Algorithm 18; a forged ct gives a pseudorandom ss (implicit rejection). Checks dk first. */
int32_t nmp_mlkem768_decapsulate(const uint8_t dk[2400], const uint8_t ct[1088], uint8_t ss[32]);

#ifdef __cplusplus
}
#endif
