//! `proxy wait`: returns when the proxy of this pod is ready. As the hook of an ordinary container it holds the containers
//! after it, which the kubelet starts one by one.
//!
//! It asks the readiness port as the kubelet would, so it knows nothing that the kubelet does not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use runtime::duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How to wait.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// Port on which the proxy answers whether it is ready
    #[arg(long, env = api::env::READINESS_PORT, default_value_t = api::ports::READINESS, value_name = "PORT")]
    pub readiness_port: u16,

    /// How long to wait before giving up
    #[arg(long, env = "REMORA_WAIT_TIMEOUT", default_value = "2m", value_name = "DURATION",
          value_parser = duration::within(Duration::ZERO..=duration::DAY))]
    pub timeout: Duration,
}

/// The proxy has not become ready.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// In time.
    #[error("the proxy is not ready after {after:?}: port {port}: {last}; its log says what it waits for")]
    NotReady {
        /// How long it was waited for.
        after: Duration,
        /// Where it was asked.
        port: u16,
        /// What the last answer was.
        last: String,
    },
    /// There is no runtime to wait with.
    #[error("cannot wait: {0}")]
    Runtime(#[from] io::Error),
}

/// Between two questions; a proxy starts within milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// `HTTP/1.1 200`.
const STATUS_LENGTH: usize = 12;

/// Waits.
pub fn until_ready(settings: &Settings) -> Result<(), WaitError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (port, mut last) = (settings.readiness_port, "no answer".to_owned());
    let asking = async {
        while let Err(answer) = ask(port).await {
            last = answer;
            tokio::time::sleep(PAUSE).await;
        }
    };
    let waited = runtime.block_on(async { tokio::time::timeout(settings.timeout, asking).await });
    waited.map_err(|_| WaitError::NotReady { after: settings.timeout, port, last })
}

/// Asks on both families, since a machine may lack one.
async fn ask(port: u16) -> Result<(), String> {
    let mut last = String::new();
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        match ask_at(SocketAddr::new(address, port)).await {
            Ok(status) if status == "200" => return Ok(()),
            Ok(status) => return Err(format!("it answered {status:?}")),
            Err(error) if last.is_empty() => last = error.to_string(),
            Err(_) => {}
        }
    }
    Err(last)
}

/// The status that is answered there.
async fn ask_at(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", api::control::READY_PATH);
    stream.write_all(request.as_bytes()).await?;
    let mut start = [0; STATUS_LENGTH];
    stream.read_exact(&mut start).await?;
    Ok(String::from_utf8_lossy(&start).rsplit(' ').next().unwrap_or_default().to_owned())
}
