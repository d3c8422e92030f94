//! nginx, HAProxy, Apache and h2o, which answer by their configuration, and Node's server with an application.

use super::LOG;
use crate::program::{FILES, HOME, Program, own, words};

const SCRIPT: &str = "echo.js";
const CONFIGURATION: &str = "configuration";

pub(super) fn nginx(port: u16) -> Program {
    nginx_with(&port.to_string(), MANY_REQUESTS)
}

pub(super) fn nginx_http2(port: u16) -> Program {
    nginx_leaving(port, MANY_REQUESTS)
}

pub(super) fn nginx_leaving(port: u16, requests: u32) -> Program {
    nginx_with(&format!("{port} http2"), requests)
}

/// On a connection.
const MANY_REQUESTS: u32 = 100_000;

fn nginx_with(port: &str, requests: u32) -> Program {
    let text = format!(
        r#"daemon off;
master_process off;
pid {HOME}/pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
  log_format line '$request';
  access_log {HOME}/{LOG} line;
  client_body_temp_path {HOME}/body;
  proxy_temp_path {HOME}/proxy;
  fastcgi_temp_path {HOME}/fastcgi;
  uwsgi_temp_path {HOME}/uwsgi;
  scgi_temp_path {HOME}/scgi;
  client_max_body_size 20m;
  large_client_header_buffers 8 32k;
  keepalive_requests {requests};
  server {{
    listen 0.0.0.0:{port};
    root {HOME}/{FILES};
    location / {{
      add_header X-Mixed-Case 1 always;
      return 200 "$request\n$http_host $http_cookie $http_x_a $http_expect $http_content_length $http_transfer_encoding\n";
    }}
    location = /large {{ }}
    location = /stream {{ chunked_transfer_encoding on; ssi on; try_files /index.html =404; }}
    location = /index.html {{ }}
    location = /empty {{ return 204; }}
    location = /refused {{ return 417; }}
  }}
}}
"#
    );
    Program {
        name: "nginx",
        package: "nginx-light",
        files: vec![(CONFIGURATION, text)],
        arguments: words(["/usr/sbin/nginx", "-p", HOME, "-e", "stderr", "-c", &own(CONFIGURATION)]),
        mounts: Vec::new(),
    }
}

pub(super) fn haproxy(port: u16) -> Program {
    haproxy_with(&port.to_string())
}

pub(super) fn haproxy_http2(port: u16) -> Program {
    haproxy_with(&format!("{port} proto h2"))
}

fn haproxy_with(port: &str) -> Program {
    let text = format!(
        r#"global
    nbthread 1
    log stdout format raw local0 info
    tune.bufsize 65536
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 10s
    timeout http-request 10s
    timeout http-keep-alive 60s
frontend all
    bind 0.0.0.0:{port}
    log global
    log-format "%HM %HP"
    http-request wait-for-body time 10s
    http-request return status 204 if {{ path /empty }}
    http-request return status 417 content-type text/plain string no if {{ path /refused }}
    http-request return status 200 content-type text/plain hdr X-Mixed-Case 1 lf-string "%[method] %[url] %[req.ver] %[req.hdr(host)] %[req.hdr(x-a)] %[req.hdr(content-length)] %[req.body_len] %[req.body,sha2(256),hex]\n"
"#
    );
    Program {
        name: "haproxy",
        package: "haproxy",
        files: vec![(CONFIGURATION, text)],
        arguments: words(["/usr/sbin/haproxy", "-db", "-f", &own(CONFIGURATION)]),
        mounts: Vec::new(),
    }
}

pub(super) fn apache(port: u16) -> Program {
    apache_with(port, &["mpm_event", "authz_core", "headers", "dir", "include"], "http/1.1")
}

pub(super) fn apache_http2(port: u16) -> Program {
    apache_with(port, &["mpm_event", "authz_core", "headers", "dir", "include", "http2"], "h2c")
}

fn apache_with(port: u16, modules: &[&str], protocol: &str) -> Program {
    let load = |name: &&str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
    let modules: String = modules.iter().map(load).collect();
    let text = format!(
        r#"ServerRoot {HOME}
ServerName server.example
Listen 0.0.0.0:{port}
PidFile {HOME}/pid
DefaultRuntimeDir {HOME}
ErrorLog {HOME}/error.log
Mutex file:{HOME} default
LogFormat "%r" line
{modules}
CustomLog {HOME}/{LOG} line
Protocols {protocol}
TraceEnable extended
KeepAliveTimeout 60
MaxKeepAliveRequests 0
LimitRequestFieldSize 32768
LimitRequestLine 32768
DocumentRoot {HOME}/{FILES}
AllowEncodedSlashes On
FallbackResource /index.html
Header echo "^(X-|Host|Cookie|Expect|TE)"
"#
    );
    Program {
        name: "apache",
        package: "apache2-bin",
        files: vec![(CONFIGURATION, text)],
        arguments: words(["/usr/sbin/apache2", "-X", "-f", &own(CONFIGURATION)]),
        mounts: Vec::new(),
    }
}

pub(super) fn h2o(port: u16) -> Program {
    let text = format!(
        r#"listen:
  host: 0.0.0.0
  port: {port}
num-threads: 1
temp-buffer-path: {HOME}
pid-file: {HOME}/pid
access-log:
  path: {HOME}/{LOG}
  format: "%r"
hosts:
  default:
    paths:
      /:
        header.add: "X-Mixed-Case: 1"
        file.dir: {HOME}/{FILES}
"#
    );
    Program {
        name: "h2o",
        package: "h2o",
        files: vec![(CONFIGURATION, text)],
        arguments: words(["/usr/bin/h2o", "-m", "worker", "-c", &own(CONFIGURATION)]),
        mounts: Vec::new(),
    }
}

pub(super) fn node(port: u16) -> Program {
    node_with(include_str!("../apps/echo.js"), port)
}

pub(super) fn node_http2(port: u16) -> Program {
    node_with(include_str!("../apps/streams.js"), port)
}

fn node_with(script: &str, port: u16) -> Program {
    Program {
        name: "node",
        package: "nodejs",
        files: vec![(SCRIPT, script.to_owned())],
        arguments: words(["/usr/bin/node", &own(SCRIPT), &port.to_string()]),
        mounts: Vec::new(),
    }
}
