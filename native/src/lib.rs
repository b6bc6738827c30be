//! The Rust half of the program, as one static library behind C headers.
//!
//! Wasmtime's own C API is re-exported whole; the other modules hold our C functions, one module per header in `include/`.

pub use wasmtime_c_api::*;

mod mlkem;
