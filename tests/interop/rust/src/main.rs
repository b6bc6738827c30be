//! A rust-libp2p peer over QUIC and TCP to test another implementation against.
//!
//! ```text
//! peer --version                              {"name":"rust-libp2p","version":...}
//! peer --listen MULTIADDR [--kad-serve]       {"addrs":[".../p2p/ID"],"peer_id":ID}, then serves until killed:
//!                                             ping, identify, /echo/1.0.0, /perf/1.0.0 and, as a Kademlia server,
//!                                             --kad-protocol
//! peer --dial MULTIADDR/p2p/ID --do WHAT      one JSON line a result, exit code 0 or 1
//! peer --dial MULTIADDR/p2p/ID --tunnel PORT  {"tunnel":"127.0.0.1:PORT"}, then each TCP connection accepted
//!                                             there becomes one libp2p stream of --protocol
//! ```
//! WHAT: ping, identify, echo, perf (--upload and --download bytes on one stream, with --peer-pid the CPU time of that
//! process too), refuse-wrong-peer, kad-find, kad-provide, kad-put, kad-get (also spelled
//! `--kad-find KEYHEX` and so on; --kad-put takes its value from `--value HEX`). `--wait 12s` idles before it. With `--listen` as well, kad-provide
//! and kad-put stay up as a server after their result line, so that the provider can be dialled.

use std::{collections::HashMap, error::Error, num::NonZeroUsize, process::exit, time::Duration};

use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    future::{Either, select},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, identity, kad,
    multiaddr::Protocol,
    noise, ping,
    swarm::{DialError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, tls, yamux,
};
use serde_json::{Value, json};
use tokio_util::compat::TokioAsyncReadCompatExt;

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");
const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
/// The exact version in Cargo.toml; a crate cannot ask for a dependency's.
const LIBP2P_VERSION: &str = "0.57.1";

type Failure = Box<dyn Error>;

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
    stream: libp2p_stream::Behaviour,
}

struct Options(HashMap<String, String>);

impl Options {
    fn parse() -> Result<Self, Failure> {
        let mut map = HashMap::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").ok_or(format!("unexpected {argument:?}"))?.to_owned();
            match name.as_str() {
                "version" | "kad-serve" => map.insert(name, String::new()),
                "kad-find" | "kad-provide" | "kad-put" | "kad-get" => {
                    map.insert("key".into(), arguments.next().ok_or("--kad-* needs a key")?);
                    map.insert("do".into(), name)
                }
                "listen" | "dial" | "do" | "tunnel" | "protocol" | "kad-protocol" | "count" | "interval" | "bytes"
                | "text" | "key" | "value" | "timeout" | "wait" | "upload" | "download" | "peer-pid" => {
                    let value = arguments.next().ok_or(format!("--{name} needs a value"))?;
                    map.insert(name, value)
                }
                _ => return Err(format!("unknown option --{name}").into()),
            };
        }
        Ok(Self(map))
    }
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
    fn text(&self, name: &str, default: &str) -> String {
        self.0.get(name).map_or(default, String::as_str).to_owned()
    }
    fn number(&self, name: &str, default: u64) -> Result<u64, Failure> {
        Ok(self.text(name, &default.to_string()).parse()?)
    }
    /// "2s", "100ms", "0": what Go's flag package takes, as far as the harness needs it.
    fn duration(&self, name: &str, default: &str) -> Result<Duration, Failure> {
        let text = self.text(name, default);
        if let Some(ms) = text.strip_suffix("ms") {
            return Ok(Duration::from_millis(ms.parse()?));
        }
        Ok(Duration::from_secs_f64(text.strip_suffix('s').unwrap_or(&text).parse()?))
    }
    fn hex(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let text = self.text(name, "");
        if !text.is_ascii() || text.is_empty() || text.len() % 2 != 0 {
            return Err(format!("--{name} needs hex").into());
        }
        (0..text.len()).step_by(2).map(|i| Ok(u8::from_str_radix(&text[i..i + 2], 16)?)).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn new_swarm(options: &Options) -> Result<Swarm<Behaviour>, Failure> {
    let kad_protocol = StreamProtocol::try_from_owned(options.text("kad-protocol", "/nmp/kad/1.0.0"))?;
    let busy = options.has("dial") && !options.has("wait");
    let interval = options.duration("interval", if busy { "100ms" } else { "15s" })?;
    let serves_kad = options.has("kad-serve") || (options.has("listen") && options.has("dial"));
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)?
        .with_quic()
        .with_behaviour(|key| {
            let id = key.public().to_peer_id();
            let mut config = kad::Config::new(kad_protocol);
            config.set_query_timeout(Duration::from_secs(15));
            let mut kad = kad::Behaviour::with_config(id, kad::store::MemoryStore::new(id), config);
            kad.set_mode(Some(if serves_kad { kad::Mode::Server } else { kad::Mode::Client }));
            Behaviour {
                ping: ping::Behaviour::new(ping::Config::new().with_interval(interval.max(Duration::from_millis(1)))),
                identify: identify::Behaviour::new(identify::Config::new("nmp/1.0.0".into(), key.public())),
                kad,
                stream: libp2p_stream::Behaviour::new(),
            }
        })?
        .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    Ok(swarm)
}

/// What every peer does with an event, whatever it waits for: keep the Kademlia routing table fed.
fn feed_kad(swarm: &mut Swarm<Behaviour>, event: &SwarmEvent<BehaviourEvent>) {
    if let SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) = event {
        let kad = &mut swarm.behaviour_mut().kad;
        if info.protocols.iter().any(|p| kad.protocol_names().contains(p)) {
            for address in &info.listen_addrs {
                kad.add_address(peer_id, address.clone());
            }
        }
    }
}

/// Runs the swarm until `pick` makes something of an event.
async fn drive<R>(
    swarm: &mut Swarm<Behaviour>,
    mut pick: impl FnMut(&mut Swarm<Behaviour>, SwarmEvent<BehaviourEvent>) -> Option<R>,
) -> R {
    loop {
        let event = swarm.select_next_some().await;
        feed_kad(swarm, &event);
        if let Some(result) = pick(swarm, event) {
            return result;
        }
    }
}

/// Runs the swarm beside `work`, which uses a stream control.
async fn beside<R>(swarm: &mut Swarm<Behaviour>, work: impl Future<Output = R>) -> R {
    let work = std::pin::pin!(work);
    let never = std::pin::pin!(drive(swarm, |_, _| None::<()>));
    match select(work, never).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => unreachable!(),
    }
}

async fn listen(swarm: &mut Swarm<Behaviour>, address: Multiaddr) -> Result<Value, Failure> {
    swarm.listen_on(address)?;
    let bound = drive(swarm, |_, event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(Ok(address)),
        SwarmEvent::ListenerError { error, .. } => Some(Err(error)),
        SwarmEvent::ListenerClosed { reason: Err(error), .. } => Some(Err(error)),
        _ => None,
    })
    .await?;
    // Known to be reachable, so it goes into provider records.
    swarm.add_external_address(bound.clone());
    let id = *swarm.local_peer_id();
    Ok(json!({"addrs": [format!("{bound}/p2p/{id}")], "peer_id": id.to_string()}))
}

async fn serve(swarm: &mut Swarm<Behaviour>) -> Result<(), Failure> {
    let mut control = swarm.behaviour().stream.new_control();
    let mut incoming = control.accept(ECHO)?;
    tokio::task::spawn_local(async move {
        while let Some((_, stream)) = incoming.next().await {
            tokio::task::spawn_local(async move {
                let (reader, mut writer) = stream.split();
                if futures::io::copy(reader, &mut writer).await.is_ok() {
                    let _ = writer.close().await;
                }
            });
        }
    });
    let mut measuring = control.accept(PERF)?;
    // On any worker thread: what is measured is not this program's event loop.
    tokio::spawn(async move {
        while let Some((_, stream)) = measuring.next().await {
            tokio::spawn(async move {
                if let Err(error) = serve_perf(stream).await {
                    eprintln!("perf: {error}");
                }
            });
        }
    });
    drive(swarm, |_, _| None).await
}

const PIECE_BYTES: usize = 256 * 1024;

async fn send_bytes(stream: &mut libp2p::Stream, count: u64) -> std::io::Result<()> {
    let piece = vec![0; PIECE_BYTES];
    let mut left = count;
    while left > 0 {
        let size = left.min(PIECE_BYTES as u64) as usize;
        stream.write_all(&piece[..size]).await?;
        left -= size as u64;
    }
    stream.close().await
}

/// Reads to the end; how many bytes there were.
async fn count_bytes(stream: &mut libp2p::Stream) -> std::io::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut total = 0;
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(total),
            size => total += size as u64,
        }
    }
}

/// libp2p/specs, perf/perf.md: eight bytes say how much to send once the client has half-closed.
async fn serve_perf(mut stream: libp2p::Stream) -> std::io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    count_bytes(&mut stream).await?;
    send_bytes(&mut stream, u64::from_be_bytes(wanted)).await
}

/// CPU time of all threads of a process in seconds; pid 0 is this one (clock_getcpuclockid).
fn cpu_seconds(pid: u64) -> f64 {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, at: *mut Timespec) -> i32;
    }
    const PROCESS_CLOCK: i32 = 2; // CLOCK_PROCESS_CPUTIME_ID
    let clock = if pid == 0 { PROCESS_CLOCK } else { !(pid as i32) << 3 | PROCESS_CLOCK };
    let mut at = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: `at` is a struct timespec of a 64-bit Linux.
    if unsafe { clock_gettime(clock, &mut at) } != 0 {
        return 0.0;
    }
    at.seconds as f64 + at.nanoseconds as f64 / 1e9
}

async fn do_perf(swarm: &mut Swarm<Behaviour>, id: PeerId, options: &Options) -> Result<Value, Failure> {
    let (upload, download) = (options.number("upload", 1 << 20)?, options.number("download", 1 << 20)?);
    let peer_pid = options.number("peer-pid", 0)?;
    let mut control = swarm.behaviour().stream.new_control();
    beside(swarm, async move {
        let mut stream = control.open_stream(id, PERF).await?;
        let measured = tokio::spawn(async move {
            let (begun, cpu, peer_cpu) = (std::time::Instant::now(), cpu_seconds(0), cpu_seconds(peer_pid));
            stream.write_all(&download.to_be_bytes()).await?;
            send_bytes(&mut stream, upload).await?;
            let back = count_bytes(&mut stream).await?;
            Ok::<_, std::io::Error>(json!({
                "upload": upload, "download": back, "seconds": begun.elapsed().as_secs_f64(),
                "cpu_us": (cpu_seconds(0) - cpu) * 1e6, "peer_cpu_us": (cpu_seconds(peer_pid) - peer_cpu) * 1e6,
            }))
        })
        .await??;
        if measured["download"] != download {
            return Err(format!("asked for {download} bytes: {measured}").into());
        }
        Ok(measured)
    })
    .await
}

/// Connects, and answers the identify message if it came first.
async fn connect(swarm: &mut Swarm<Behaviour>, address: &Multiaddr, id: PeerId) -> Result<(), Failure> {
    swarm.dial(DialOpts::peer_id(id).addresses(vec![address.clone()]).build())?;
    drive(swarm, |_, event| match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == id => Some(Ok(())),
        SwarmEvent::OutgoingConnectionError { error, .. } => Some(Err(format!("connect: {error}").into())),
        _ => None,
    })
    .await
}

async fn do_ping(swarm: &mut Swarm<Behaviour>, id: PeerId, count: usize) -> Result<Value, Failure> {
    let mut rtts = Vec::new();
    drive(swarm, |_, event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, result, .. })) if peer == id => match result {
            Ok(rtt) => {
                rtts.push(rtt.as_micros() as u64);
                (rtts.len() >= count).then(|| Ok(json!({"rtt_us": rtts})))
            }
            Err(error) => Some(Err(format!("ping {}: {error}", rtts.len()).into())),
        },
        SwarmEvent::ConnectionClosed { cause, .. } => Some(Err(format!("connection closed: {cause:?}").into())),
        _ => None,
    })
    .await
}

async fn do_identify(swarm: &mut Swarm<Behaviour>, id: PeerId) -> Result<Value, Failure> {
    drive(swarm, |_, event| match event {
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }))
            if peer_id == id =>
        {
            Some(Ok(json!({
                "agent": info.agent_version,
                "protocol_version": info.protocol_version,
                "protocols": info.protocols.iter().map(|p| p.to_string()).collect::<Vec<_>>(),
                "listen_addrs": info.listen_addrs.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
                "observed_addr": info.observed_addr.to_string(),
                "signed_record": info.signed_peer_record.is_some(),
            })))
        }
        SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Error { error, .. })) => {
            Some(Err(format!("identify: {error}").into()))
        }
        SwarmEvent::ConnectionClosed { cause, .. } => Some(Err(format!("connection closed: {cause:?}").into())),
        _ => None,
    })
    .await
}

async fn do_echo(swarm: &mut Swarm<Behaviour>, id: PeerId, payload: Vec<u8>) -> Result<Value, Failure> {
    let mut control = swarm.behaviour().stream.new_control();
    beside(swarm, async move {
        let stream = control.open_stream(id, ECHO).await?;
        let (mut reader, mut writer) = stream.split();
        let write = async {
            writer.write_all(&payload).await?;
            writer.close().await
        };
        let mut back = Vec::new();
        let (written, read) = futures::join!(write, reader.read_to_end(&mut back));
        read.map_err(|e| format!("read: {e}"))?;
        written.map_err(|e| format!("write: {e}"))?;
        if back != payload {
            return Err(format!("sent {} bytes, {} came back and differ", payload.len(), back.len()).into());
        }
        Ok(json!({"bytes": back.len()}))
    })
    .await
}

/// Right only if the identity was the reason.
async fn do_refuse_wrong_peer(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<Value, Failure> {
    let wrong = identity::Keypair::generate_ed25519().public().to_peer_id();
    swarm.dial(DialOpts::peer_id(wrong).addresses(vec![address.clone()]).build())?;
    drive(swarm, |_, event| match event {
        SwarmEvent::ConnectionEstablished { .. } => Some(Err("connected to a peer id nobody there has".into())),
        SwarmEvent::OutgoingConnectionError { error: DialError::WrongPeerId { obtained, .. }, .. } => {
            Some(Ok(json!({"refused": format!("wanted {wrong}, found {obtained}")})))
        }
        SwarmEvent::OutgoingConnectionError { error, .. } => Some(Err(format!("failed otherwise: {error}").into())),
        _ => None,
    })
    .await
}

async fn do_kad(
    swarm: &mut Swarm<Behaviour>,
    what: &str,
    options: &Options,
    address: &Multiaddr,
    id: PeerId,
) -> Result<Value, Failure> {
    let key = kad::RecordKey::new(&options.hex("key")?);
    // Wait for identify, so that the two know of each other that (or whether) they serve Kademlia.
    do_identify(swarm, id).await?;
    let kad = &mut swarm.behaviour_mut().kad;
    kad.add_address(&id, address.clone());
    let query = match what {
        "kad-find" => kad.get_providers(key),
        "kad-provide" => kad.start_providing(key)?,
        "kad-get" => kad.get_record(key),
        "kad-put" => {
            let record = kad::Record::new(key, options.hex("value")?);
            // The local store counts for nothing here: one remote has to say that it took the record.
            kad.put_record(record, kad::Quorum::N(NonZeroUsize::MIN))?
        }
        _ => return Err(format!("unknown --do {what:?}").into()),
    };
    let mut providers = Vec::new();
    let mut records: Vec<Vec<u8>> = Vec::new();
    drive(swarm, |_, event| {
        let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
            id: of,
            result,
            stats,
            step,
        })) = event
        else {
            return None;
        };
        if of != query {
            return None;
        }
        match result {
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers: some, .. })) => {
                providers.extend(some.iter().map(|p| p.to_string()));
            }
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                records.push(found.record.value);
            }
            kad::QueryResult::GetProviders(Err(e)) => return Some(Err(e.to_string().into())),
            kad::QueryResult::GetRecord(Err(e)) => return Some(Err(e.to_string().into())),
            kad::QueryResult::PutRecord(Err(e)) => return Some(Err(e.to_string().into())),
            kad::QueryResult::StartProviding(Err(e)) => return Some(Err(e.to_string().into())),
            _ => {}
        }
        if !step.last {
            return None;
        }
        if stats.num_successes() == 0 {
            return Some(Err(format!("no remote answered: {stats:?}").into()));
        }
        providers.sort();
        providers.dedup();
        match what {
            "kad-find" if providers.is_empty() => Some(Err("no provider found".into())),
            "kad-find" => Some(Ok(json!({"providers": providers, "requests": stats.num_requests()}))),
            "kad-get" => Some(Ok(json!({"values": records.iter().map(|v| hex(v)).collect::<Vec<_>>()}))),
            _ => Some(Ok(json!({"requests": stats.num_requests()}))),
        }
    })
    .await
}

async fn do_tunnel(swarm: &mut Swarm<Behaviour>, id: PeerId, options: &Options) -> Result<Value, Failure> {
    let protocol = StreamProtocol::try_from_owned(options.text("protocol", "/nmp/grpc/1.0.0"))?;
    let port = options.number("tunnel", 0)? as u16;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{}", json!({"tunnel": listener.local_addr()?.to_string(), "protocol": protocol.to_string()}));
    let control = swarm.behaviour().stream.new_control();
    beside(swarm, async move {
        loop {
            let (connection, _) = listener.accept().await?;
            let (mut control, protocol) = (control.clone(), protocol.clone());
            tokio::task::spawn_local(async move {
                let stream = match control.open_stream(id, protocol).await {
                    Ok(stream) => stream,
                    Err(error) => return eprintln!("tunnel: {error}"),
                };
                let (stream_reader, mut stream_writer) = stream.split();
                let (tcp_reader, mut tcp_writer) = connection.compat().split();
                let up = async {
                    futures::io::copy(tcp_reader, &mut stream_writer).await?;
                    stream_writer.close().await
                };
                let down = async {
                    futures::io::copy(stream_reader, &mut tcp_writer).await?;
                    tcp_writer.close().await
                };
                if let Err(error) = futures::try_join!(up, down) {
                    eprintln!("tunnel: {error}");
                }
            });
        }
    })
    .await
}

async fn run(options: &Options) -> Result<Option<Value>, Failure> {
    let mut swarm = new_swarm(options)?;
    if !options.has("listen") && !options.has("dial") {
        return Err("one of --listen and --dial".into());
    }
    let mut listening = None;
    if options.has("listen") {
        let line = listen(&mut swarm, options.text("listen", "").parse()?).await?;
        if !options.has("dial") {
            println!("{line}");
            serve(&mut swarm).await?;
        }
        listening = Some(line);
    }
    let mut address: Multiaddr = options.text("dial", "").parse()?;
    let Some(Protocol::P2p(id)) = address.pop() else {
        return Err("--dial needs an address that ends in /p2p/ID".into());
    };
    let what = options.text("do", "");
    let timeout = options.duration("timeout", "20s")?;
    let wait = options.duration("wait", "0")?;
    let work = async {
        if what == "refuse-wrong-peer" {
            return do_refuse_wrong_peer(&mut swarm, &address).await;
        }
        connect(&mut swarm, &address, id).await?;
        if !wait.is_zero() {
            let _ = tokio::time::timeout(wait, drive(&mut swarm, |_, _| None::<()>)).await;
        }
        match what.as_str() {
            _ if options.has("tunnel") => Ok(Value::Null),
            "ping" => do_ping(&mut swarm, id, options.number("count", 3)? as usize).await,
            "identify" => do_identify(&mut swarm, id).await,
            "echo" => {
                let size = options.number("bytes", 1 << 20)? as usize;
                let text = options.text("text", "").into_bytes();
                // A pattern with a period that divides no packet or window size.
                let pattern = || (0..size).map(|i| (i % 65521 % 251) as u8).collect();
                do_echo(&mut swarm, id, if text.is_empty() { pattern() } else { text }).await
            }
            "perf" => do_perf(&mut swarm, id, options).await,
            _ => do_kad(&mut swarm, &what, options, &address, id).await,
        }
    };
    let mut result = tokio::time::timeout(timeout, work).await.map_err(|_| "timed out")??;
    if options.has("tunnel") {
        return do_tunnel(&mut swarm, id, options).await.map(Some);
    }
    result["do"] = what.clone().into();
    result["ok"] = true.into();
    if let Some(line) = listening {
        result["peer_id"] = line["peer_id"].clone();
        result["addrs"] = line["addrs"].clone();
        println!("{result}");
        serve(&mut swarm).await?;
    }
    Ok(Some(result))
}

// Connections and measured streams run on worker threads, as with `#[tokio::main]` in libp2p's own examples.
#[tokio::main]
async fn main() {
    let options = Options::parse().unwrap_or_else(|error| {
        println!("{}", json!({"do": "usage", "ok": false, "error": error.to_string()}));
        exit(2);
    });
    if options.has("version") {
        println!("{}", json!({"name": "rust-libp2p", "version": LIBP2P_VERSION}));
        return;
    }
    match tokio::task::LocalSet::new().run_until(run(&options)).await {
        Ok(Some(result)) => println!("{result}"),
        Ok(None) => {}
        Err(error) => {
            println!("{}", json!({"do": options.text("do", ""), "ok": false, "error": error.to_string()}));
            exit(1);
        }
    }
}
