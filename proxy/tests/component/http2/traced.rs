//! Requests of HTTP/2 in traces: each stream is one, with fields and spans of its own.

use http::{Request, Response};

use super::{client, connect, runtime, serve, soon};
use crate::http::traced::Collector;
use crate::support::{Proxy, Way};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[test]
fn each_stream_is_in_a_trace_of_its_own() {
    for way in Way::all() {
        let collector = Collector::start(202);
        let options = ["--trace-collector", &collector.url, "--trace-protocol", "zipkin"];
        let proxy = Proxy::start(&options);
        let (caller, called, _listener) = connect(&proxy, way);
        let told = runtime().block_on(async {
            let (mut requests, mut asked) = (client(caller).await, serve(called));
            let recorded = Request::get("http://web/a")
                .header("traceparent", format!("00-{TRACE}-{SPAN}-01"))
                .header("tracestate", "a=1");
            let denied = Request::get("http://web/b").header("b3", "0");
            let mut told = vec![];
            for request in [recorded, denied] {
                let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
                let (request, mut respond) = soon(asked.recv()).await.unwrap();
                told.push(request.headers().clone());
                respond.send_response(Response::new(()), true).unwrap();
                soon(response).await.unwrap();
            }
            told
        });
        let [recorded, denied] = &told[..] else { panic!("two requests") };
        let [span] = &collector.spans()[..] else { panic!("one span") };
        assert_eq!((&span["traceId"], &span["parentId"]), (&TRACE.into(), &SPAN.into()));
        let parent = format!("00-{TRACE}-{}-01", span["id"].as_str().unwrap());
        let parents: Vec<_> = recorded.get_all("traceparent").iter().collect();
        assert_eq!(parents, [&*parent]);
        assert_eq!(recorded["tracestate"], "a=1");
        assert_eq!(&span["kind"], if way.inbound { "SERVER" } else { "CLIENT" });
        for (key, value) in [("network.protocol.version", "2"), ("http.response.status_code", "200")] {
            assert_eq!(span["tags"][key], value, "{span}");
        }
        assert_eq!(denied["b3"], "0");
        assert_eq!(denied.get("traceparent"), None);
        proxy.stop();
        assert!(collector.is_done(), "nothing else was recorded");
    }
}
