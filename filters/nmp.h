/*
 * Filter ABI v1: what a filter may call beside WASI preview 1. A filter is a WASI command: `_start` with no arguments and
 * no result, its memory exported as `memory`; it imports from `wasi_snapshot_preview1` and from `nmp` only.
 *
 *   argv[0]        "filter"; argv[1..] are the lines of the input named `args`
 *   stdin          the input named `stdin`
 *   stdout         the semantic evidence: what the agent gets as the answer
 *   stderr         diagnostics: capped, then dropped
 *   /data/NAME     each dataset of the run, read-only; what is appended after the run's start is not seen (a watchdog: after
 *                  its last sleep)
 *   exit code      0 = done; anything else is reported as the filter's failure
 *
 * There is no network, no environment and no other path. Clocks tick in steps of 1 ms or more, and clocks and random bytes are
 * replayable when a receipt asks for it. Where a call may wait (push_event, wait, a write to stdout, poll_oneoff), the filter
 * is held without costing a thread, and its wall time goes on.
 *
 * A pointer or length outside the filter's memory: the calls below end the run (reason `guest_misuse`), those of WASI
 * answer `fault` (21).
 * Works in C and C++ with any compiler that knows clang's import attributes.
 */
#ifndef NMP_FILTER_H
#define NMP_FILTER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NMP_ABI_VERSION 1

/* Codes of the calls that return a number: all below zero. */
#define NMP_E_NOT_FOUND (-1)     /* no input of that name */
#define NMP_E_INVALID (-2)       /* an argument makes no sense */
#define NMP_E_NO_STATE (-3)      /* this run keeps no state: only watchdogs do */
#define NMP_E_NOT_AVAILABLE (-4) /* what was asked for is not available in this run */
#define NMP_E_TOO_LARGE (-5)     /* longer than the run may send or keep */

/* Bits of nmp_wait's mask and result. */
#define NMP_WAIT_TIMER 1 /* the timeout passed */
#define NMP_WAIT_FILES 2 /* a dataset changed: in watchdogs only */

/* One event holds at most this many bytes (a run's own limit may be lower). */
#define NMP_EVENT_BYTES_MAX 65536
/* A watchdog's state holds at most this many bytes. */
#define NMP_STATE_BYTES_MAX 65536
/* A name of an input holds at most this many bytes: [a-z0-9][a-z0-9._-]{0,62}. */
#define NMP_NAME_BYTES_MAX 63

#define NMP_IMPORT(name) __attribute__((import_module("nmp"), import_name(#name)))

/* Sends one event to the agent at once; waits while the agent takes none. An event over NMP_EVENT_BYTES_MAX, or beyond the
 * number or bytes of events that the run was granted, ends the run (reason `event_limit`). */
NMP_IMPORT(push_event) void nmp_push_event(const void* data, size_t size);

/* The same without waiting: 1 if the event was taken, 0 if there is no room now or the grant is used up, NMP_E_TOO_LARGE. */
NMP_IMPORT(try_event) int32_t nmp_try_event(const void* data, size_t size);

/* Bytes in an input, or NMP_E_NOT_FOUND. */
NMP_IMPORT(input_size) int64_t nmp_input_size(const char* name, size_t name_size);

/* Copies up to `size` bytes of an input from `offset` on; returns how many, 0 at its end, NMP_E_NOT_FOUND,
 * NMP_E_INVALID (a negative offset, or size over INT32_MAX). */
NMP_IMPORT(input_read)
int32_t nmp_input_read(const char* name, size_t name_size, int64_t offset, void* buffer, size_t size);

/* A watchdog's small state, kept across restarts: state_get copies up to `size` bytes and returns the state's whole size (0
 * if there is none), state_put replaces it and returns 0, or NMP_E_TOO_LARGE (over NMP_STATE_BYTES_MAX). State and events
 * are stored in the order in which they are given: put the state that knows of an event behind the event, and a crash makes
 * events come twice at worst. In a plain run both answer NMP_E_NO_STATE. */
NMP_IMPORT(state_get) int32_t nmp_state_get(void* buffer, size_t size);
NMP_IMPORT(state_put) int32_t nmp_state_put(const void* data, size_t size);

/* Sleeps until the timeout (nanoseconds; NMP_WAIT_TIMER in the mask) or a file change (NMP_WAIT_FILES) and returns the bits
 * that came true. In a watchdog a sleep ends a wake-up: the next one has its fuel and wall time anew, and sees the datasets
 * as they are then (files that are open stay what they were). In a plain run NMP_WAIT_FILES answers NMP_E_NOT_AVAILABLE; an empty or unknown mask or a negative timeout
 * NMP_E_INVALID. */
NMP_IMPORT(wait) int32_t nmp_wait(int64_t timeout_ns, int32_t mask);

#ifdef __cplusplus
}
#endif
#endif
