//! Calls of services of which one or two operations are needed: signed, sent and timed by the SDK's runtime, which the other adapters
//! bring anyway, without the client that the SDK has for each service. Such a client has every operation and shape there is, and costs
//! more to compile than what it is wanted for.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions};
use aws_smithy_runtime::client::orchestrator::operation::{Operation, OperationBuilder};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::{
    StaticAuthSchemeOptionResolver, StaticAuthSchemeOptionResolverParams,
};
use aws_smithy_runtime_api::client::auth::{AuthSchemeOptionResolverParams, SharedAuthScheme};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use aws_types::request_id::apply_request_id;
use serde_json::Value;
use std::time::Duration;

use super::access::AwsAccess;
use super::failure::Failure;

/// How a service is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// JSON by POST; the operation is named by `X-Amz-Target`, behind a prefix.
    Json {
        /// `1.0` or `1.1`.
        version: &'static str,
        /// As in `CodeDeploy_20141006`.
        target: &'static str,
    },
    /// A form by POST, answered in XML.
    Query {
        /// The version of the service's API, as in `2010-03-31`.
        version: &'static str,
    },
}

/// One service in one region.
pub(crate) struct Service {
    operation: Operation<Asked, Value, ErrorMetadata>,
    protocol: Protocol,
}

/// What is sent.
#[derive(Debug)]
struct Asked {
    operation: &'static str,
    body: String,
}

impl Service {
    /// `name` is what requests are signed for and what its host begins with, as in `sns`. One attempt takes `attempt` at most; nothing is
    /// tried again here. Nothing is asked yet.
    pub(crate) fn new(
        access: &AwsAccess,
        name: &'static str,
        region: &str,
        protocol: Protocol,
        attempt: Duration,
    ) -> Self {
        let config = access.config();
        let timeouts = TimeoutConfig::builder().connect_timeout(attempt).operation_attempt_timeout(attempt).build();
        let mut builder = Operation::builder()
            .service_name(name)
            .operation_name(name)
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&endpoint(config, name, region))
            .no_retry()
            .timeout_config(timeouts)
            .runtime_plugin(signing(config, name, region));
        if let Some(client) = config.http_client() {
            builder = builder.http_client(client);
        }
        Self { operation: typed(builder, protocol).build(), protocol }
    }

    /// Asks for an operation of a service that takes JSON.
    pub(crate) async fn ask(&self, operation: &'static str, input: &Value) -> Result<Value, Failure> {
        self.send(operation, input.to_string()).await
    }

    /// Asks for an operation of a service that takes a form; what it answers beside its consent is not read.
    pub(crate) async fn ask_form(&self, operation: &'static str, form: &[(String, String)]) -> Result<(), Failure> {
        let Protocol::Query { version } = self.protocol else {
            return Err(Failure::NotSent(format!("{operation}: this service takes no form")));
        };
        let mut body = Form::default();
        body.push("Action", operation);
        body.push("Version", version);
        for (name, value) in form {
            body.push(name, value);
        }
        self.send(operation, body.0).await.map(drop)
    }

    async fn send(&self, operation: &'static str, body: String) -> Result<Value, Failure> {
        self.operation.invoke(Asked { operation, body }).await.map_err(|error| Failure::of(&error))
    }
}

fn typed(builder: OperationBuilder, protocol: Protocol) -> OperationBuilder<Asked, Value, ErrorMetadata> {
    builder
        .serializer(move |asked: Asked| request(protocol, asked))
        .deserializer(move |response: &HttpResponse| answer(protocol, response))
}

fn request(protocol: Protocol, asked: Asked) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(asked.body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    match protocol {
        Protocol::Json { version, target } => {
            headers.insert("content-type", format!("application/x-amz-json-{version}"));
            headers.insert("x-amz-target", format!("{target}.{}", asked.operation));
        }
        Protocol::Query { .. } => {
            headers.insert("content-type", "application/x-www-form-urlencoded");
        }
    }
    Ok(request)
}

fn answer(protocol: Protocol, response: &HttpResponse) -> Result<Value, OrchestratorError<ErrorMetadata>> {
    let octets = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return match protocol {
            Protocol::Query { .. } => Ok(Value::Null),
            Protocol::Json { .. } if octets.is_empty() => Ok(Value::Null),
            Protocol::Json { .. } => serde_json::from_slice(octets)
                .map_err(|_| OrchestratorError::other("the answer is no JSON, so it is not known what was done")),
        };
    }
    let (code, message) = match protocol {
        Protocol::Json { .. } => refusal_in_json(response, octets),
        Protocol::Query { .. } => refusal_in_xml(octets),
    };
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code {
        metadata = metadata.code(code);
    }
    if let Some(message) = message {
        metadata = metadata.message(message);
    }
    Err(OrchestratorError::operation(apply_request_id(metadata, response.headers()).build()))
}

/// Code and message; the code stands behind the namespace of its shape, and before the address of its documentation.
fn refusal_in_json(response: &HttpResponse, octets: &[u8]) -> (Option<String>, Option<String>) {
    let body: Value = serde_json::from_slice(octets).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let header = || response.headers().get("x-amzn-errortype").map(str::to_owned);
    let code = header().or_else(|| text("__type")).or_else(|| text("code"));
    let bare = |code: String| {
        let code = code.split(':').next().unwrap_or_default();
        code.rsplit('#').next().unwrap_or_default().to_owned()
    };
    (code.map(bare), text("message").or_else(|| text("Message")))
}

/// The texts of the first `Code` and the first `Message`: an error has one of each, and nothing in it is nested.
fn refusal_in_xml(octets: &[u8]) -> (Option<String>, Option<String>) {
    let text = String::from_utf8_lossy(octets);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(inside, _)| inside.to_owned())
    };
    (element("Code"), element("Message"))
}

/// Signature V4 by the credentials that the configuration finds, which are looked for when they are needed and kept while they last.
fn signing(config: &SdkConfig, name: &'static str, region: &str) -> StaticRuntimePlugin {
    let mut layer = Layer::new("signing");
    layer.store_put(AuthSchemeOptionResolverParams::from(StaticAuthSchemeOptionResolverParams::new()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(Region::new(region.to_owned()))),
        region_set: None,
        name: Some(SigningName::from_static(name)),
        signing_options: SigningOptions::default(),
    });
    let mut components = RuntimeComponentsBuilder::new("signing")
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
        .with_identity_cache(config.identity_cache());
    if let Some(provider) = config.credentials_provider() {
        components = components.with_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(provider));
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

/// Where a service is, by the rules that AWS has for the hosts of these services.
fn endpoint(config: &SdkConfig, name: &str, region: &str) -> String {
    match config.endpoint_url() {
        Some(url) => url.to_owned(),
        None => host(name, region, config.use_fips() == Some(true), config.use_dual_stack() == Some(true)),
    }
}

fn host(name: &str, region: &str, fips: bool, dual_stack: bool) -> String {
    let fips = if fips { "-fips" } else { "" };
    let begins = |prefix: &str| region.starts_with(prefix);
    let suffix = match () {
        () if begins("cn-") && dual_stack => "api.amazonwebservices.com.cn",
        () if begins("cn-") => "amazonaws.com.cn",
        () if begins("us-iso-") => "c2s.ic.gov",
        () if begins("us-isob-") => "sc2s.sgov.gov",
        () if begins("us-isof-") => "csp.hci.ic.gov",
        () if begins("eu-isoe-") => "cloud.adc-e.uk",
        () if begins("eusc-") => "amazonaws.eu",
        () if dual_stack => "api.aws",
        () => "amazonaws.com",
    };
    format!("https://{name}{fips}.{region}.{suffix}")
}

/// A form as HTML writes it (`application/x-www-form-urlencoded`).
#[derive(Default)]
struct Form(String);

impl Form {
    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.push_text(name);
        self.0.push('=');
        self.push_text(value);
    }

    fn push_text(&mut self, text: &str) {
        for octet in text.bytes() {
            match octet {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => self.0.push(char::from(octet)),
                _ => self.0.push_str(&format!("%{octet:02X}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_one_whatever_is_in_it() {
        let mut form = Form::default();
        form.push("Action", "Publish");
        form.push("Message", "{\"a\": \"é&=+%\"}");
        assert_eq!(form.0, "Action=Publish&Message=%7B%22a%22%3A%20%22%C3%A9%26%3D%2B%25%22%7D");
    }

    #[test]
    fn hosts_are_those_of_the_partition() {
        assert_eq!(host("sns", "sa-east-1", false, false), "https://sns.sa-east-1.amazonaws.com");
        assert_eq!(host("ecs", "us-gov-west-1", true, false), "https://ecs-fips.us-gov-west-1.amazonaws.com");
        assert_eq!(host("sqs", "cn-north-1", false, false), "https://sqs.cn-north-1.amazonaws.com.cn");
        assert_eq!(host("sqs", "eu-west-1", false, true), "https://sqs.eu-west-1.api.aws");
    }

    #[test]
    fn refusals_are_read_in_both_languages() {
        let xml = b"<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
                    <Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>";
        assert_eq!(refusal_in_xml(xml), (Some("NotFound".to_owned()), Some("Topic does not exist".to_owned())));
        assert_eq!(refusal_in_xml(b"<html>"), (None, None));
        let response = HttpResponse::new(400_u16.try_into().expect("a status"), SdkBody::empty());
        let json = br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}"#;
        assert_eq!(refusal_in_json(&response, json), (Some("QueueDoesNotExist".to_owned()), Some("gone".to_owned())));
    }
}
