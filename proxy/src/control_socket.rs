//! The Unix socket over which `proxy drain` and `proxy logging` speak to the running proxy: one request line, one answer
//! line, `ok` with what was asked for or `error: ` with the reason.
//!
//! What changes the proxy comes this way and never over a port, which the application could reach. The file's mode is
//! 0600. Invariant: bad input is answered with an error and changes nothing.

use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// No request is longer.
pub(crate) const LONGEST_REQUEST: u64 = 1024;

/// How long the server pauses after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the server waits for a client, which has said all that it has to say in one line.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a client waits, perhaps for another one that the server is patient with.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// Where the socket is.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Unix socket over which `proxy drain` and `proxy logging` reach the running proxy
    #[arg(long, env = "REMORA_CONTROL_SOCKET", default_value = api::pod::CONTROL_SOCKET, value_name = "PATH")]
    pub control_socket: PathBuf,
}

/// The socket cannot be served, or the proxy not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another proxy answers there.
    #[error(
        "control socket {0}: another proxy is running; stop it, or choose another path with --control-socket"
    )]
    InUse(PathBuf),
    /// Something else lies there, which is not ours to delete.
    #[error(
        "control socket {0}: the file is not a socket; remove it, or choose another path with --control-socket"
    )]
    NotASocket(PathBuf),
    /// It cannot be made.
    #[error("control socket {0}: {1}; choose another path with --control-socket")]
    Create(PathBuf, io::Error),
    /// Nobody answers.
    #[error("control socket {0}: {1}; is the proxy running, and with the same --control-socket?")]
    Connect(PathBuf, io::Error),
    /// The conversation broke off.
    #[error("control socket {0}: {1}; the proxy may have ended meanwhile")]
    Talk(PathBuf, io::Error),
    /// The proxy does not do it.
    #[error("the proxy refuses: {0}")]
    Refused(String),
    /// What answers is no proxy.
    #[error("control socket {0}: {1:?} is no answer of a proxy; is the path right?")]
    Answer(PathBuf, String),
}

/// What can be asked of a running proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Begin the inbound drain.
    Drain,
    /// Say what is logged, after setting it where a filter is given.
    Logging(Option<String>),
}

const DRAIN: &str = "drain";
const LOGGING: &str = "logging";
const ACCEPTED: &str = "ok";
const REFUSED: &str = "error: ";

impl Request {
    /// Reads a request line, without its newline.
    fn parse(line: &str) -> Result<Self, String> {
        match line.split_once(' ') {
            None if line == DRAIN => Ok(Self::Drain),
            None if line == LOGGING => Ok(Self::Logging(None)),
            Some((LOGGING, filter)) => Ok(Self::Logging(Some(filter.to_owned()))),
            None | Some(_) => {
                Err(format!("unknown request {line:?}; known are {DRAIN:?} and \"{LOGGING} [FILTER]\""))
            }
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain => f.write_str(DRAIN),
            Self::Logging(None) => f.write_str(LOGGING),
            Self::Logging(Some(filter)) => write!(f, "{LOGGING} {filter}"),
        }
    }
}

/// What came of a request: what there is to say about it, or why it was refused.
pub type Answer = Result<String, String>;

/// The bound socket; dropping it removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    _file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What is left is stale, and the next proxy replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes the socket. A file left by a proxy that was killed is replaced; without its directory there is no socket, and the
/// proxy runs nevertheless.
pub fn bind(settings: &Settings) -> Result<Option<ControlSocket>, ControlError> {
    let path = &settings.control_socket;
    if !path.parent().is_some_and(Path::is_dir) {
        tracing::warn!(path = %path.display(), "no directory for the control socket: `proxy drain` will not work");
        return Ok(None);
    }
    remove_stale(path)?;
    let listener = listen(path).map_err(|error| ControlError::Create(path.clone(), error))?;
    Ok(Some(ControlSocket { listener, _file: SocketFile(path.clone()) }))
}

fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let failed = |error| ControlError::Create(path.to_owned(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(ControlError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ControlError::InUse(path.to_owned())),
        // Nobody listens there any more; every other error may come from a socket that is somebody's.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before bind: Linux gives the file the socket's mode, so there is no moment at which others could connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl ControlSocket {
    /// Answers requests, one connection at a time, for as long as it is polled. `obey` returns when the request has taken
    /// effect.
    pub async fn serve<F: Future<Output = Answer>>(self, obey: impl Fn(Request) -> F) -> io::Result<()> {
        let Self { listener, _file } = self;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        loop {
            let conversation = async { converse(listener.accept().await?.0, &obey).await };
            if let Err(error) = conversation.await {
                tracing::warn!(%error, "a conversation over the control socket broke off");
                // When accept itself fails, it would fail again at once.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse<F: Future<Output = Answer>>(
    mut stream: tokio::net::UnixStream,
    obey: &impl Fn(Request) -> F,
) -> io::Result<()> {
    let answer = match tokio::time::timeout(PATIENCE, read_request(&mut stream)).await?? {
        Ok(request) => obey(request).await,
        Err(error) => Err(error),
    };
    // An answer is one line.
    let line = match answer {
        Ok(said) => format!("{ACCEPTED} {}", said.replace('\n', " ")),
        Err(error) => format!("{REFUSED}{}", error.replace('\n', " ")),
    };
    let line = format!("{}\n", line.trim_end());
    tokio::time::timeout(PATIENCE, stream.write_all(line.as_bytes())).await?
}

/// The request up to its newline, the end of the stream or the limit of its length.
async fn read_request(stream: &mut tokio::net::UnixStream) -> io::Result<Result<Request, String>> {
    let (mut line, mut limited) = (Vec::new(), stream.take(LONGEST_REQUEST));
    while !line.contains(&b'\n') && limited.read_buf(&mut line).await? > 0 {}
    let text = String::from_utf8_lossy(&line);
    Ok(Request::parse(text.split('\n').next().unwrap_or_default()))
}

/// Asks the running proxy; returns when it has done it, with what it says.
pub fn ask(settings: &Settings, request: &Request) -> Result<String, ControlError> {
    let path = &settings.control_socket;
    let stream = UnixStream::connect(path).map_err(|error| ControlError::Connect(path.clone(), error))?;
    let answer = talk(&stream, request).map_err(|error| ControlError::Talk(path.clone(), error))?;
    if let Some(reason) = answer.strip_prefix(REFUSED) {
        return Err(ControlError::Refused(reason.to_owned()));
    }
    match answer.strip_prefix(ACCEPTED) {
        Some("") => Ok(String::new()),
        Some(said) if said.starts_with(' ') => Ok(said.trim_start().to_owned()),
        Some(_) | None => Err(ControlError::Answer(path.clone(), answer)),
    }
}

fn talk(mut stream: &UnixStream, request: &Request) -> io::Result<String> {
    stream.set_read_timeout(Some(CLIENT_PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    if BufReader::new(stream).read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn only_known_requests_are_requests() {
        for request in
            [Request::Drain, Request::Logging(None), Request::Logging(Some("info,a=debug".to_owned()))]
        {
            assert_eq!(Request::parse(&request.to_string()), Ok(request));
        }
        for bad in ["", " drain", "DRAIN", "drain now", "exit", "loggingdebug", "\u{fffd}"] {
            assert!(Request::parse(bad).is_err_and(|error| error.starts_with("unknown")), "{bad:?}");
        }
    }
}
