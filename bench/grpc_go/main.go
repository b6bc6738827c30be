// Command grpc_go is grpc-go's half of bench/run: unary calls of 64 bytes, one after the other, over TCP loopback.
//
//	grpc_go --listen                             {"tcp":"127.0.0.1:PORT"}, then serves until killed
//	grpc_go --tcp 127.0.0.1:PORT --count N --peer-pid PID
//
// Messages are plain bytes on both sides, as in ../grpc.cpp: neither measures protobuf.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sort"
	"syscall"
	"time"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const method = "/nmp.bench.Echo/Unary"

// rawCodec passes *[]byte through.
type rawCodec struct{}

func (rawCodec) Name() string                       { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }

func say(line map[string]any) {
	text, _ := json.Marshal(line)
	os.Stdout.Write(append(text, '\n'))
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "google.golang.org/grpc" {
				return module.Version
			}
		}
	}
	return "unknown"
}

// cpu is the CPU time of all threads of a process; pid 0 is this one (clock_getcpuclockid).
func cpu(pid int) time.Duration {
	clock := uintptr(2) // CLOCK_PROCESS_CPUTIME_ID
	if pid != 0 {
		clock = uintptr(uint32(^int32(pid)<<3 | 2))
	}
	var at syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		return 0
	}
	return time.Duration(at.Nano())
}

func echo(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	message := new([]byte)
	if err := decode(message); err != nil {
		return nil, err
	}
	return message, nil
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "nmp.bench.Echo",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: echo}},
	}, nil)
	say(map[string]any{"tcp": listener.Addr().String(), "version": version()})
	return server.Serve(listener)
}

func call(target string, count, peerPid int) error {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})),
	}
	channel, err := grpc.NewClient(target, options...)
	if err != nil {
		return err
	}
	defer channel.Close()
	message := bytes.Repeat([]byte{7}, 64)
	us := []float64{}
	var started time.Time
	var mine, peers time.Duration
	for i := range count + count/10 {
		if i == count/10 {
			us, mine, peers, started = us[:0], cpu(0), cpu(peerPid), time.Now()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		begin := time.Now()
		reply := new([]byte)
		err := channel.Invoke(ctx, method, &message, reply)
		us = append(us, float64(time.Since(begin).Nanoseconds())/1e3)
		cancel()
		if err != nil {
			return err
		}
		if !bytes.Equal(*reply, message) {
			return fmt.Errorf("another echo")
		}
	}
	seconds := time.Since(started).Seconds()
	perCall := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(count) }
	cpuUs, peerUs := perCall(cpu(0)-mine), perCall(cpu(peerPid)-peers)
	sort.Float64s(us)
	at := func(part float64) float64 { return us[int(part*float64(len(us)-1)+0.5)] }
	say(map[string]any{
		"count": count, "seconds": seconds, "per_second": float64(count) / seconds, "p50_us": at(0.5), "p99_us": at(0.99),
		"cpu_us": cpuUs, "peer_cpu_us": peerUs,
	})
	return nil
}

func main() {
	listen := flag.Bool("listen", false, "serve")
	target := flag.String("tcp", "", "host:port to call")
	count := flag.Int("count", 2000, "calls")
	peerPid := flag.Int("peer-pid", 0, "the server's process")
	flag.Parse()
	var err error
	if *listen {
		err = serve()
	} else {
		err = call(*target, *count, *peerPid)
	}
	if err != nil {
		say(map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}
