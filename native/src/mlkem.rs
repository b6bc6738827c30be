//! ML-KEM-768 (FIPS 203) behind `include/nmp_mlkem.h`. Randomness is an argument, so vectors and seeds replay.

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey};
use std::panic::{catch_unwind, AssertUnwindSafe};

const EK: usize = 1184;
const DK: usize = 2400;
const CT: usize = 1088;
const SS: usize = 32;

const OK: i32 = 0;
const INVALID_KEY: i32 = 1;
const PANICKED: i32 = 2;

fn guarded(f: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(PANICKED)
}

/// # Safety
/// `seed` points to 64 readable bytes, `ek` to 1184 and `dk` to 2400 writable ones.
#[no_mangle]
pub unsafe extern "C" fn nmp_mlkem768_keypair(seed: *const [u8; 64], ek: *mut [u8; EK], dk: *mut [u8; DK]) -> i32 {
    guarded(|| {
        let pair = mlkem768::generate_key_pair(unsafe { *seed });
        unsafe {
            *ek = *pair.pk();
            *dk = *pair.sk();
        }
        OK
    })
}

/// # Safety
/// `ek` points to 1184 readable bytes, `seed` to 32; `ct` to 1088 and `ss` to 32 writable ones.
#[no_mangle]
pub unsafe extern "C" fn nmp_mlkem768_encapsulate(
    ek: *const [u8; EK],
    seed: *const [u8; SS],
    ct: *mut [u8; CT],
    ss: *mut [u8; SS],
) -> i32 {
    guarded(|| {
        let key = MlKem768PublicKey::from(unsafe { *ek });
        // FIPS 203, section 7.2: the encapsulation key check. libcrux leaves it to the caller.
        if !mlkem768::validate_public_key(&key) {
            return INVALID_KEY;
        }
        let (ciphertext, secret) = mlkem768::encapsulate(&key, unsafe { *seed });
        unsafe {
            *ct = *ciphertext.as_slice();
            *ss = secret;
        }
        OK
    })
}

/// # Safety
/// `dk` points to 2400 readable bytes, `ct` to 1088; `ss` to 32 writable ones.
#[no_mangle]
pub unsafe extern "C" fn nmp_mlkem768_decapsulate(dk: *const [u8; DK], ct: *const [u8; CT], ss: *mut [u8; SS]) -> i32 {
    guarded(|| {
        let key = MlKem768PrivateKey::from(unsafe { *dk });
        // FIPS 203, section 7.3: the hash check of the decapsulation key.
        let ciphertext = MlKem768Ciphertext::from(unsafe { *ct });
        if !mlkem768::validate_private_key(&key, &ciphertext) {
            return INVALID_KEY;
        }
        let secret = mlkem768::decapsulate(&key, &ciphertext);
        unsafe { *ss = secret };
        OK
    })
}
