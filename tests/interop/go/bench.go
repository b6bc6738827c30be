package main

// What ../../../bench measures of go-libp2p: its pings on one stream, its bytes in bulk, and /perf/1.0.0.

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const (
	discardProtocol = protocol.ID("/bench/discard/1.0.0")
	perfProtocol    = protocol.ID("/perf/1.0.0")
	pieceBytes      = 256 * 1024
)

// servePerf is libp2p/specs, perf/perf.md: eight bytes say how much to send once the client has half-closed.
func servePerf(s network.Stream) {
	var wanted [8]byte
	if _, err := io.ReadFull(s, wanted[:]); err != nil {
		s.Reset()
		return
	}
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, s, make([]byte, pieceBytes)); err != nil {
		s.Reset()
		return
	}
	if err := sendBytes(s, binary.BigEndian.Uint64(wanted[:])); err != nil {
		s.Reset()
	}
}

// onlyWriter hides ReadFrom, which would read in small pieces.
type onlyWriter struct{ io.Writer }

func sendBytes(s network.Stream, left uint64) error {
	piece := make([]byte, pieceBytes)
	for left > 0 {
		n, err := s.Write(piece[:min(left, pieceBytes)])
		if err != nil {
			return err
		}
		left -= uint64(n)
	}
	return s.CloseWrite()
}

func doPerf(ctx context.Context, h host.Host, id peer.ID, upload, download, peerPid int) (result, error) {
	s, err := h.NewStream(ctx, id, perfProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		return nil, err
	}
	m := startMeter(peerPid)
	if _, err := s.Write(binary.BigEndian.AppendUint64(nil, uint64(download))); err != nil {
		return nil, err
	}
	if err := sendBytes(s, uint64(upload)); err != nil {
		return nil, err
	}
	back, err := io.CopyBuffer(onlyWriter{io.Discard}, s, make([]byte, pieceBytes))
	if err != nil {
		return nil, err
	}
	m.add(time.Since(m.started))
	if back != int64(download) {
		return nil, fmt.Errorf("asked for %d bytes, got %d", download, back)
	}
	r := m.result()
	r["upload"], r["download"] = upload, download
	return r, nil
}

// serveDiscard reads all, then says how many bytes there were.
func serveDiscard(s network.Stream) {
	piece := make([]byte, pieceBytes)
	total := 0
	for {
		n, err := s.Read(piece)
		total += n
		if err == io.EOF {
			break
		}
		if err != nil {
			s.Reset()
			return
		}
	}
	io.WriteString(s, strconv.Itoa(total))
	s.Close()
}

// cpu is the CPU time of all threads of a process; pid 0 is this one (clock_getcpuclockid).
func cpu(pid int) time.Duration {
	const processClock = 2 // CLOCK_PROCESS_CPUTIME_ID
	clock := uintptr(processClock)
	if pid != 0 {
		clock = uintptr(uint32(^int32(pid)<<3 | processClock))
	}
	var at syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		return 0
	}
	return time.Duration(at.Nano())
}

// meter mirrors bench/measure.hpp.
type meter struct {
	peerPid      int
	started      time.Time
	cpu, peerCpu time.Duration
	us           []float64
}

func startMeter(peerPid int) *meter {
	m := &meter{peerPid: peerPid, cpu: cpu(0)}
	if peerPid != 0 {
		m.peerCpu = cpu(peerPid)
	}
	m.started = time.Now()
	return m
}

func (m *meter) add(d time.Duration) { m.us = append(m.us, float64(d.Nanoseconds())/1e3) }

func (m *meter) result() result {
	seconds := time.Since(m.started).Seconds()
	count := float64(max(len(m.us), 1))
	r := result{
		"count": len(m.us), "seconds": seconds, "per_second": count / seconds,
		"cpu_us": float64((cpu(0) - m.cpu).Nanoseconds()) / 1e3 / count,
	}
	if m.peerPid != 0 {
		r["peer_cpu_us"] = float64((cpu(m.peerPid) - m.peerCpu).Nanoseconds()) / 1e3 / count
	}
	if len(m.us) > 0 {
		sort.Float64s(m.us)
		at := func(part float64) float64 { return m.us[int(part*float64(len(m.us)-1)+0.5)] }
		r["p50_us"], r["p99_us"] = at(0.5), at(0.99)
	}
	return r
}

// doPingKept pings on one stream, as go-libp2p's own ping service does.
func doPingKept(ctx context.Context, h host.Host, id peer.ID, count, peerPid int) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := ping.Ping(ctx, h, id)
	var m *meter
	for i := range count + count/10 {
		if i == count/10 {
			m = startMeter(peerPid)
		}
		answer := <-answers
		if answer.Error != nil {
			return nil, fmt.Errorf("ping %d: %w", i, answer.Error)
		}
		if m != nil {
			m.add(answer.RTT)
		}
	}
	return m.result(), nil
}

func doDiscard(ctx context.Context, h host.Host, id peer.ID, size, peerPid int) (result, error) {
	s, err := h.NewStream(ctx, id, discardProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		return nil, err
	}
	piece := make([]byte, pieceBytes)
	rand.Read(piece)
	m := startMeter(peerPid)
	for left := size; left > 0; {
		n, err := s.Write(piece[:min(left, len(piece))])
		if err != nil {
			return nil, err
		}
		left -= n
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(s)
	if err != nil {
		return nil, err
	}
	m.add(time.Since(m.started))
	if string(answer) != strconv.Itoa(size) {
		return nil, fmt.Errorf("the peer counted %q", answer)
	}
	r := m.result()
	r["bytes"] = size
	return r, nil
}
