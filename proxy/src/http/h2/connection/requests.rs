//! How streams begin: each request is looked at, gets an account, and is sent on its way, refused, or answered.

use std::sync::Arc;
use std::task::Context;

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream};
use http::header::{HOST, HeaderName, USER_AGENT};
use http::{HeaderValue, Request, Version, request};

use super::super::asking::Asking;
use super::super::broken::refused;
use super::super::content::Account;
use super::super::head::judge_request;
use super::super::portion::Portion;
use super::super::quiet::Quiet;
use super::super::stream::Front;
use super::super::{MOST_BROKEN, Refusal, grpc};
use super::Connection;
use crate::http::{RequestId, request_id};
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::{self, Exchange};
use crate::trace::{Begun, Open};

impl Connection<'_> {
    /// A client has asked.
    pub(super) fn begin(
        &mut self,
        request: Request<RecvStream>,
        respond: SendResponse<Portion>,
        cx: &mut Context<'_>,
    ) {
        self.has_asked = true;
        let (mut head, content) = request.into_parts();
        self.name(&mut head);
        let most_fields = self.means.http.settings.h2.http2_max_fields.into();
        let is_grpc = grpc::is_call(&head.headers);
        let span = self.trace(&mut head);
        let account = Account { exchange: self.account(&head, is_grpc, span), is_grpc, most_fields };
        match judge_request(&head, most_fields) {
            Ok(()) => self.forward(head, content, respond, account),
            Err(refusal) => self.refuse(refusal, respond, account, cx),
        }
    }

    /// Gives it a name, where it has none.
    fn name(&self, head: &mut request::Parts) {
        let generates = self.means.http.settings.http_request_id == RequestId::Generate;
        if generates
            && !head.headers.contains_key(request_id::NAME)
            && let Ok(id) = HeaderValue::from_bytes(request_id::field().id())
        {
            head.headers.insert(request_id::NAME, id);
        }
    }

    /// Gives it its place in a trace.
    fn trace(&self, head: &mut request::Parts) -> Option<Box<Open>> {
        let fields = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let Begun { edits, open } = self.means.http.tracer.begin(fields);
        for name in edits.replaced {
            head.headers.remove(name);
        }
        for (name, value) in edits.added {
            if let Ok(value) = HeaderValue::try_from(value) {
                head.headers.insert(name, value);
            }
        }
        open
    }

    fn forward(
        &mut self,
        mut head: request::Parts,
        content: RecvStream,
        respond: SendResponse<Portion>,
        account: Account,
    ) {
        if head.uri.authority().is_none() {
            // h2 takes such a request for one that came by HTTP/1, which it has to.
            head.version = Version::HTTP_11;
        }
        let quiet = Quiet::new(self.shared.most_quiet);
        let asking = Asking {
            front: Front { respond, account, shared: Arc::clone(&self.shared), quiet },
            request: Request::from_parts(head, ()),
            content,
            servers: Arc::clone(&self.servers),
        };
        self.streams.push(Box::pin(asking.run()));
    }

    fn refuse(
        &mut self,
        refusal: Refusal,
        mut respond: SendResponse<Portion>,
        account: Account,
        cx: &mut Context<'_>,
    ) {
        self.shared.client.reset(Reason::PROTOCOL_ERROR, |reason| respond.send_reset(reason));
        account.exchange.close(refused(Side::Client, refusal));
        self.count_refused(Side::Client, refusal, cx);
    }

    /// A client that breaks rules all the time is left, as h2 does where it sees that itself.
    pub(super) fn count_refused(&mut self, side: Side, refusal: Refusal, cx: &mut Context<'_>) {
        self.session.refused_message(side, refusal.code());
        if side == Side::Client {
            self.refused += 1;
            if self.refused == MOST_BROKEN {
                self.close(cx, Reason::ENHANCE_YOUR_CALM);
            }
        }
    }

    fn account(&self, head: &request::Parts, is_grpc: bool, span: Option<Box<Open>>) -> Exchange {
        let field = |name: HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
        let named = |name: &str| head.headers.get(name).map(HeaderValue::as_bytes);
        let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        let request = exchange::Request {
            protocol: "HTTP/2",
            method: head.method.as_str().as_bytes(),
            path: head.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes(),
            authority: authority.or_else(|| field(HOST)),
            user_agent: field(USER_AGENT),
            x_forwarded_for: named("x-forwarded-for"),
            request_id: named(request_id::NAME),
            is_grpc,
        };
        self.session.begin_span(&request, span)
    }
}
