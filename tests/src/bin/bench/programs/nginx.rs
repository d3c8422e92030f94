//! nginx of the Debian package `nginx`: one process, HTTP/1.1 on both sides with connections that persist, its access log in its
//! own format to a file.
//!
//! It does not find out where connections were going: all go to the application's port, or to the endpoints of one Service.

use std::path::PathBuf;

use anyhow::Result;

use super::{CONFIGURATION, Program, file, libraries, version};
use crate::backend::HTTP1_PORT;
use crate::endpoints;
use crate::measures::memory;
use crate::protocol::Protocol;

/// Where Debian puts it.
const BINARY: &str = "/usr/sbin/nginx";

pub(super) fn program() -> Result<Program> {
    let binary = PathBuf::from(BINARY);
    let mut mounts = libraries();
    mounts.push(file(&binary, BINARY));
    Ok(Program {
        name: "nginx",
        version: version("nginx", &binary, "-v")?,
        setup: "one process; HTTP/1.1 to a fixed port, outbound to 8 endpoints, least connections, up to 64 \
                idle connections are kept; the access log of its default format to a file",
        inbound: &[Protocol::Http1],
        outbound: &[Protocol::Http1],
        binary,
        mounts,
        configuration: Some(configuration()),
        arguments: [BINARY, "-c", CONFIGURATION, "-e", "stderr"].map(str::to_owned).to_vec(),
        metrics: None,
    })
}

/// Connections persist however many requests they have had: by default both sides end them after 1,000.
fn configuration() -> String {
    let endpoints: String =
        endpoints::all().map(|endpoint| format!("    server {endpoint}:{HTTP1_PORT};\n")).collect();
    format!(
        "daemon off;
master_process off;
error_log stderr error;
pid {state}/nginx.pid;
events {{ worker_connections {connections}; }}
http {{
  access_log {state}/access.log combined;
  client_body_temp_path {state}/body;
  proxy_temp_path {state}/proxy;
  fastcgi_temp_path {state}/fastcgi;
  scgi_temp_path {state}/scgi;
  uwsgi_temp_path {state}/uwsgi;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  upstream application {{
    server 127.0.0.1:{HTTP1_PORT};
    keepalive 64;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
  }}
  upstream service {{
    least_conn;
{endpoints}    keepalive 64;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 0.0.0.0:{inbound};
    location / {{
      proxy_pass http://application;
      proxy_bind 127.0.0.{source};
    }}
  }}
  server {{
    listen 0.0.0.0:{outbound};
    location / {{ proxy_pass http://service; }}
  }}
}}
",
        state = api::pod::STATE_PATH,
        connections = memory::DESCRIPTORS,
        inbound = api::ports::INBOUND,
        outbound = api::ports::OUTBOUND,
        source = api::pod::INBOUND_SOURCES.start(),
    )
}
