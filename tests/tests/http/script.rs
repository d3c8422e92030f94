//! What both sides of a connection do, as a test writes it down.

use crate::message::To;

/// Where all requests say that they go.
pub(crate) const HOST: &str = "Host: server.example\r\n";

/// What a client does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes in one piece.
    Send(Vec<u8>),
    /// Sends bytes in pieces that chance makes.
    Cut(Vec<u8>),
    /// Reads one interim response.
    Interim,
    /// Reads a final response, and interim ones before it.
    Final(To),
    /// Reads so many bytes of a tunnel.
    Bytes(usize),
    /// Says that it will send nothing more.
    Finish,
    /// Tells the server, on another way, that it is here.
    Signal,
    /// Reads up to the end.
    End,
}

/// What a server does when the head of a request has come.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads the rest of the request; if it is not among the acts, that comes after them.
    Rest,
    /// Sends bytes in one piece.
    Say(Vec<u8>),
    /// Sends bytes in pieces that chance makes.
    Cut(Vec<u8>),
    /// Waits for the client's signal.
    Await,
    /// Has nothing more to read, until now.
    Quiet,
    /// Reads so many bytes of a tunnel.
    Bytes(usize),
    /// Says that it will send nothing more, and waits for the client's end.
    Finish,
    /// The same, and what comes meanwhile is of a tunnel.
    FinishTunnel,
    /// Closes the connection at once, by a reset.
    Reset,
}

/// How a client goes on when all its steps are done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Afterwards {
    /// With another request, if it can.
    Asks,
    /// It reads up to the end.
    Reads,
}

/// What is said on a connection, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// For each request what a server does that knows the shape.
    pub(crate) acts: Vec<Vec<Act>>,
    pub(crate) afterwards: Afterwards,
    /// Servers that know nothing of the shape answer it as well.
    pub(crate) is_for_all: bool,
    /// The last response is cut off, which is the point of it.
    pub(crate) is_cut_off: bool,
}

impl Shape {
    /// Nothing is said yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            steps: Vec::new(),
            acts: Vec::new(),
            afterwards: Afterwards::Asks,
            is_for_all: false,
            is_cut_off: false,
        }
    }

    /// A request that gets a response.
    pub(crate) fn exchange(self, request: impl Into<Vec<u8>>, to: To, response: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(request.into()))
            .step(Step::Final(to))
            .acts([Act::Rest, Act::Say(response.into())])
    }

    /// A GET that gets a response.
    pub(crate) fn get(self, response: impl Into<Vec<u8>>) -> Self {
        self.exchange(request("GET /", "", ""), To::Get, response)
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn steps(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// What is done for the next request.
    pub(crate) fn acts(mut self, acts: impl IntoIterator<Item = Act>) -> Self {
        self.acts.push(acts.into_iter().collect());
        self
    }

    /// One of the sides says that the connection ends.
    pub(crate) fn ends(mut self) -> Self {
        self.afterwards = Afterwards::Reads;
        self
    }

    pub(crate) fn for_all(mut self) -> Self {
        self.is_for_all = true;
        self
    }

    /// Whether chance has a part in it.
    pub(crate) fn is_cut(&self) -> bool {
        let by_client = self.steps.iter().any(|step| matches!(step, Step::Cut(_)));
        by_client || self.acts.iter().flatten().any(|act| matches!(act, Act::Cut(_)))
    }

    pub(crate) fn cut_off(mut self) -> Self {
        self.is_cut_off = true;
        self.ends()
    }
}

/// A request of HTTP/1.1 with a Host; `fields` are whole lines.
pub(crate) fn request(method_and_target: &str, fields: &str, content: &str) -> Vec<u8> {
    format!("{method_and_target} HTTP/1.1\r\n{HOST}{fields}\r\n{content}").into_bytes()
}

/// A POST with this content and its length.
pub(crate) fn post(fields: &str, content: &[u8]) -> Vec<u8> {
    let mut request = request("POST /", &format!("Content-Length: {}\r\n{fields}", content.len()), "");
    request.extend_from_slice(content);
    request
}

/// A response with this content and its length.
pub(crate) fn response(status: &str, fields: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut response = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n").into_bytes();
    response.extend_from_slice(content);
    response
}

/// The shortest one.
pub(crate) fn ok() -> Vec<u8> {
    response("200 OK", "", b"ok")
}

/// Content that no compressor, no text reader and no other `seed` makes.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}
