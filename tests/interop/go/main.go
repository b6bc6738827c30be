// Command peer is a go-libp2p peer over QUIC, TCP and WebSocket to test another implementation against.
//
//	peer --version                              {"name":"go-libp2p","version":...}
//	peer --listen MULTIADDR                     {"addrs":[".../p2p/ID"],"peer_id":ID}, then serves until killed:
//	                                            ping, identify, /echo/1.0.0, /perf/1.0.0 and (HTTP/2) --protocol
//	peer --dial MULTIADDR/p2p/ID --do WHAT      one JSON line a result, exit code 0 or 1
//	peer --dial MULTIADDR/p2p/ID --tunnel PORT  {"tunnel":"127.0.0.1:PORT"}, then each TCP connection accepted
//	                                            there becomes one libp2p stream of --protocol
//	peer --tcp HOST:PORT --do h2                the HTTP/2 request of `--do h2`, on plain TCP
//
// WHAT: ping, identify, echo, perf (--upload and --download bytes on one stream), h2 (one HTTP/2 request for --path inside a stream of --protocol) and
// refuse-wrong-peer (the same address under another peer id must not connect); for bench/run also ping-kept
// (pings on one stream) and discard (--bytes in bulk), both with --peer-pid.
// --noise: no TLS over TCP.
// --keylog FILE appends TLS secrets in the NSS key log format.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ws "github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/net/http2"
)

const echoProtocol = protocol.ID("/echo/1.0.0")

type result map[string]any

// out writes one JSON line; the harness reads lines as they come.
func out(r any) {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(line, '\n'))
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/libp2p/go-libp2p" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func newHost(listen, keylog string, noiseOnly bool) (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	var quicOptions []any
	if keylog != "" {
		file, err := os.OpenFile(keylog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		quicOptions = append(quicOptions, quic.WithTLSIdentityOption(libp2ptls.WithKeyLogWriter(file)))
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.Transport(quic.NewTransport, quicOptions...),
		// With go's own choice of security (TLS, then Noise) and muxer.
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(ws.New),
		libp2p.DisableRelay(),
		libp2p.UserAgent("go-libp2p/" + version()),
	}
	if noiseOnly {
		options = append(options, libp2p.Security(noise.ID, noise.New))
	}
	if listen == "" {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(listen))
	}
	return libp2p.New(options...)
}

// httpHandler answers every request with the path it asked for.
func httpHandler(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("content-type", "application/grpc")
	fmt.Fprintf(w, "%s %d", r.URL.Path, len(body))
}

// streamConn gives a libp2p stream the two address methods that net/http asks of a connection.
type streamConn struct{ network.Stream }

func (c streamConn) LocalAddr() net.Addr  { return &net.UnixAddr{Name: "libp2p", Net: "unix"} }
func (c streamConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "libp2p", Net: "unix"} }

func serve(h host.Host, grpcProtocol protocol.ID) {
	h.SetStreamHandler(echoProtocol, func(s network.Stream) {
		if _, err := io.Copy(s, s); err != nil {
			s.Reset()
			return
		}
		s.Close()
	})
	h.SetStreamHandler(grpcProtocol, func(s network.Stream) {
		(&http2.Server{}).ServeConn(streamConn{s}, &http2.ServeConnOpts{Handler: http.HandlerFunc(httpHandler)})
	})
	h.SetStreamHandler(discardProtocol, serveDiscard)
	h.SetStreamHandler(perfProtocol, servePerf)
	addrs := []string{}
	for _, a := range h.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, h.ID()))
	}
	out(result{"addrs": addrs, "peer_id": h.ID().String()})
	select {}
}

func doPing(ctx context.Context, h host.Host, id peer.ID, count int, interval time.Duration) (result, error) {
	rtts := []int64{}
	for i := range count {
		if i > 0 {
			time.Sleep(interval)
		}
		// One stream a ping: rust-libp2p may leave the second ping of a kept-open stream unanswered for 15 s.
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		answer := <-ping.Ping(one, h, id)
		cancel()
		if answer.Error != nil {
			return nil, fmt.Errorf("ping %d: %w", i, answer.Error)
		}
		rtts = append(rtts, answer.RTT.Microseconds())
	}
	return result{"rtt_us": rtts}, nil
}

func doIdentify(ctx context.Context, events event.Subscription, id peer.ID) (result, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case e := <-events.Out():
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				if e.Peer != id {
					continue
				}
				listen := []string{}
				for _, a := range e.ListenAddrs {
					listen = append(listen, a.String())
				}
				observed := ""
				if e.ObservedAddr != nil {
					observed = e.ObservedAddr.String()
				}
				return result{
					"agent": e.AgentVersion, "protocol_version": e.ProtocolVersion, "protocols": e.Protocols,
					"listen_addrs": listen, "observed_addr": observed, "signed_record": e.SignedPeerRecord != nil,
				}, nil
			case event.EvtPeerIdentificationFailed:
				if e.Peer == id {
					return nil, fmt.Errorf("identify: %w", e.Reason)
				}
			}
		}
	}
}

func doEcho(ctx context.Context, h host.Host, id peer.ID, payload []byte) (result, error) {
	s, err := h.NewStream(ctx, id, echoProtocol)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(payload)
		if err == nil {
			err = s.CloseWrite()
		}
		sent <- err
	}()
	back, err := io.ReadAll(s)
	if err != nil {
		return nil, fmt.Errorf("read after %d bytes: %w", len(back), err)
	}
	if err := <-sent; err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if !bytes.Equal(back, payload) {
		return nil, fmt.Errorf("sent %d bytes, %d came back and differ", len(payload), len(back))
	}
	return result{"bytes": len(back)}, nil
}

func doH2(ctx context.Context, conn net.Conn, path string) (result, error) {
	client, err := (&http2.Transport{AllowHTTP: true}).NewClientConn(conn)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	// An empty gRPC message: no compression, length 0.
	request, err := http.NewRequestWithContext(ctx, "POST", "http://libp2p"+path, bytes.NewReader(make([]byte, 5)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("content-type", "application/grpc")
	request.Header.Set("te", "trailers")
	response, err := client.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return nil, err
	}
	return result{"status": response.StatusCode, "body": string(body)}, nil
}

// doRefuseWrongPeer is right only if the transport itself refused, because of the identity.
func doRefuseWrongPeer(ctx context.Context, h host.Host, target *peer.AddrInfo) (result, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	wrong, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	err = h.Connect(ctx, peer.AddrInfo{ID: wrong, Addrs: target.Addrs})
	if err == nil {
		return nil, errors.New("connected to a peer id nobody there has")
	}
	var mismatch sec.ErrPeerIDMismatch
	if !errors.As(err, &mismatch) {
		return nil, fmt.Errorf("failed for another reason: %w", err)
	}
	return result{"refused": mismatch.Error()}, nil
}

func tunnel(h host.Host, id peer.ID, grpcProtocol protocol.ID, port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	out(result{"tunnel": listener.Addr().String(), "protocol": grpcProtocol, "peer_id": id.String()})
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			s, err := h.NewStream(ctx, id, grpcProtocol)
			cancel()
			if err != nil {
				fmt.Fprintln(os.Stderr, "tunnel:", err)
				return
			}
			back := make(chan error, 1)
			go func() {
				_, err := io.Copy(conn, s)
				conn.(*net.TCPConn).CloseWrite()
				back <- err
			}()
			if _, err := io.Copy(s, conn); err != nil {
				s.Reset()
			} else {
				s.CloseWrite()
			}
			if err := <-back; err != nil {
				fmt.Fprintln(os.Stderr, "tunnel: from stream:", err)
				s.Reset()
				return
			}
			s.Close()
		}()
	}
}

func run() (string, result, error) {
	showVersion := flag.Bool("version", false, "print the library's version")
	listen := flag.String("listen", "", "multiaddr to serve on")
	dial := flag.String("dial", "", "multiaddr to dial, with /p2p/")
	what := flag.String("do", "", "ping, identify, echo, perf, h2, refuse-wrong-peer")
	tunnelPort := flag.Int("tunnel", -1, "TCP port to accept on (0: any)")
	tcp := flag.String("tcp", "", "host:port for --do h2 without libp2p")
	grpcProtocol := flag.String("protocol", "/nmp/grpc/1.0.0", "protocol of h2 and tunnel streams")
	path := flag.String("path", "/nmp.v1.NeuralMesh/ExecuteLogic", ":path of --do h2")
	count := flag.Int("count", 3, "pings")
	interval := flag.Duration("interval", 0, "pause between pings")
	wait := flag.Duration("wait", 0, "idle on the connection before --do")
	size := flag.Int("bytes", 1<<20, "random bytes to echo")
	text := flag.String("text", "", "text to echo instead")
	noiseOnly := flag.Bool("noise", false, "over TCP, Noise alone")
	keylog := flag.String("keylog", "", "NSS key log file to append to")
	upload := flag.Int("upload", 1<<20, "bytes that --do perf sends")
	download := flag.Int("download", 1<<20, "bytes that --do perf asks for")
	peerPid := flag.Int("peer-pid", 0, "process whose CPU time counts in ping-kept, discard and perf")
	timeout := flag.Duration("timeout", 20*time.Second, "for the whole of --do")
	flag.Parse()

	if *showVersion {
		out(result{"name": "go-libp2p", "version": version()})
		os.Exit(0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	if *tcp != "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", *tcp)
		if err != nil {
			return *what, nil, err
		}
		r, err := doH2(ctx, conn, *path)
		return *what, r, err
	}
	if (*listen == "") == (*dial == "") {
		return "usage", nil, errors.New("one of --listen and --dial")
	}
	h, err := newHost(*listen, *keylog, *noiseOnly)
	if err != nil {
		return *what, nil, err
	}
	defer h.Close()
	if *listen != "" {
		serve(h, protocol.ID(*grpcProtocol))
	}
	address, err := ma.NewMultiaddr(*dial)
	if err != nil {
		return *what, nil, err
	}
	target, err := peer.AddrInfoFromP2pAddr(address)
	if err != nil {
		return *what, nil, err
	}
	if *what == "refuse-wrong-peer" {
		r, err := doRefuseWrongPeer(ctx, h, target)
		return *what, r, err
	}
	events, err := h.EventBus().Subscribe(
		[]any{new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerIdentificationFailed)})
	if err != nil {
		return *what, nil, err
	}
	if err := h.Connect(ctx, *target); err != nil {
		return *what, nil, fmt.Errorf("connect: %w", err)
	}
	time.Sleep(*wait)
	if *tunnelPort >= 0 {
		return "tunnel", nil, tunnel(h, target.ID, protocol.ID(*grpcProtocol), *tunnelPort)
	}
	var r result
	switch *what {
	case "ping":
		r, err = doPing(ctx, h, target.ID, *count, *interval)
	case "identify":
		r, err = doIdentify(ctx, events, target.ID)
	case "echo":
		payload := []byte(*text)
		if *text == "" {
			payload = make([]byte, *size)
			rand.Read(payload)
		}
		r, err = doEcho(ctx, h, target.ID, payload)
	case "ping-kept":
		r, err = doPingKept(ctx, h, target.ID, *count, *peerPid)
	case "perf":
		r, err = doPerf(ctx, h, target.ID, *upload, *download, *peerPid)
	case "discard":
		r, err = doDiscard(ctx, h, target.ID, *size, *peerPid)
	case "h2":
		var s network.Stream
		if s, err = h.NewStream(ctx, target.ID, protocol.ID(*grpcProtocol)); err == nil {
			r, err = doH2(ctx, streamConn{s}, *path)
		}
	default:
		return "usage", nil, fmt.Errorf("unknown --do %q", *what)
	}
	return *what, r, err
}

func main() {
	what, r, err := run()
	if err != nil {
		out(result{"do": what, "ok": false, "error": err.Error()})
		os.Exit(1)
	}
	r["do"], r["ok"] = what, true
	out(r)
}
