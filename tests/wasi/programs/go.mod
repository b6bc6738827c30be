// Pins the module that carries the WASI test programs; nothing of it is linked.
module nmp.dev/wasi-programs

go 1.26.8

require github.com/tetratelabs/wazero v1.12.0
