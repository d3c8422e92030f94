//! How streams begin: each request is looked at, gets an account, and is sent on its way, refused, or answered.

use std::sync::Arc;

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream};
use http::header::{HOST, HeaderName, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Version, request};

use super::super::asking::Asking;
use super::super::broken::answer;
use super::super::content::Account;
use super::super::head::judge_request;
use super::super::portion::Portion;
use super::super::quiet::Quiet;
use super::super::stream::Front;
use super::super::{Refusal, grpc};
use super::Connection;
use crate::http::pipeline::Admitted;
use crate::http::request_id;
use crate::telemetry::connections::Side;
use crate::telemetry::exchange;
use crate::telemetry::session::End;

impl Connection<'_> {
    /// A client has asked.
    pub(super) fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Portion>) {
        self.has_asked = true;
        let (mut head, content) = request.into_parts();
        let most = self.means.http.settings.h2.most();
        let is_grpc = grpc::is_call(&head.headers);
        let fields = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let Admitted { exchange, edits } = self.means.http.admit(self.session, &told(&head, is_grpc), fields);
        let account = Account { exchange, is_grpc, most };
        // What is added here is not the client's to answer for.
        let judged = judge_request(&head, most);
        edits.apply(&mut head.headers);
        match judged {
            Ok(()) => self.forward(head, content, respond, account),
            Err(refusal) => self.refuse(refusal, respond, account),
        }
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
        self.parts.streams.wake();
    }

    fn refuse(&mut self, refusal: Refusal, mut respond: SendResponse<Portion>, account: Account) {
        let end = End::refused(Side::Client, refusal.code());
        if refusal == Refusal::HeadTooLong {
            answer(&mut respond, &account, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &end);
        } else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        account.exchange.close(end);
        self.session.refused(Side::Client, refusal.code());
    }
}

fn told(head: &request::Parts, is_grpc: bool) -> exchange::Request<'_> {
    let field = |name: HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
    let named = |name: &str| head.headers.get(name).map(HeaderValue::as_bytes);
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    exchange::Request {
        protocol: "HTTP/2",
        method: head.method.as_str().as_bytes(),
        path: head.uri.path_and_query().map_or("", |path| path.as_str()).as_bytes(),
        authority: authority.or_else(|| field(HOST)),
        user_agent: field(USER_AGENT),
        x_forwarded_for: named("x-forwarded-for"),
        request_id: named(request_id::NAME),
        is_grpc,
    }
}
