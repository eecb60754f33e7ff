//! Amazon SNS: topics, and what was published to them. It speaks a protocol of its own: a form comes in, XML goes out.
//!
//! Faults come one after the other, as in the doubles that speak JSON.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};

use crate::server::{Answer, Fault, Server};

/// What was published: the parameters of the request by their names, without action and version.
pub type Published = BTreeMap<String, String>;

#[derive(Default)]
struct State {
    topics: BTreeSet<String>,
    published: Vec<Published>,
    faults: VecDeque<Fault>,
    asked: usize,
}

/// Amazon SNS in memory. Dropping it ends its server.
pub struct SnsDouble {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl SnsDouble {
    /// With these topics, by their ARNs.
    pub fn start(topics: &[&str]) -> anyhow::Result<Self> {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let state = Arc::new(Mutex::new(State { topics, ..State::default() }));
        let shared = Arc::clone(&state);
        let server = Server::start(Arc::new(move |request| lock(&shared).answer(&request)))?;
        Ok(Self { server, state })
    }

    /// What `endpoint_url` is to be.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// How the next requests fail, one after the other.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// What was published so far, in order.
    pub fn published(&self) -> Vec<Published> {
        lock(&self.state).published.clone()
    }

    /// How many requests there were.
    pub fn asked(&self) -> usize {
        lock(&self.state).asked
    }
}

impl State {
    fn answer(&mut self, request: &Request<Bytes>) -> Answer {
        self.asked += 1;
        let fault = self.faults.pop_front();
        match fault {
            Some(Fault::Refuse(status, code)) => return respond(status, &refusal(code, "Said by the double")),
            Some(Fault::Silence) => return Answer::Silence,
            _ => {}
        }
        let answer = match self.publish(request) {
            Ok(()) => respond(
                200,
                "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
            ),
            Err((status, code, message)) => respond(status, &refusal(code, message)),
        };
        match fault {
            Some(Fault::RefuseAfterwards(status, code)) => respond(status, &refusal(code, "Said by the double")),
            Some(Fault::SilenceAfterwards) => Answer::Silence,
            Some(Fault::LoseAnswer) => Answer::Close,
            _ => answer,
        }
    }

    fn publish(&mut self, request: &Request<Bytes>) -> Result<(), (u16, &'static str, &'static str)> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !header("authorization").contains("/sns/aws4_request") {
            return Err((403, "MissingAuthenticationToken", "Missing Authentication Token"));
        }
        if header("content-type") != "application/x-www-form-urlencoded" {
            return Err((400, "InvalidParameter", "no form"));
        }
        let mut form: Published = read_form(request.body()).ok_or((400, "MalformedQueryString", "no form"))?;
        if form.remove("Action").as_deref() != Some("Publish")
            || form.remove("Version").as_deref() != Some("2010-03-31")
        {
            return Err((400, "InvalidAction", "the double of SNS knows Publish"));
        }
        let topic = form.get("TopicArn").cloned().unwrap_or_default();
        if !self.topics.contains(&topic) {
            return Err((404, "NotFound", "Topic does not exist"));
        }
        if topic.ends_with(".fifo") && !form.contains_key("MessageGroupId") {
            return Err((400, "InvalidParameter", "The MessageGroupId parameter is required for FIFO topics"));
        }
        self.published.push(form);
        Ok(())
    }
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    )
}

fn respond(status: u16, body: &str) -> Answer {
    let response = Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .header("x-amzn-requestid", "d0b1e000-0000-4000-8000-000000000001")
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a status and headers that are ones");
    Answer::Respond(response, Duration::ZERO)
}

/// `application/x-www-form-urlencoded`, read.
fn read_form(octets: &[u8]) -> Option<Published> {
    let text = std::str::from_utf8(octets).ok()?;
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((unescaped(name)?, unescaped(value)?))
    };
    text.split('&').map(pair).collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
