//! `[aws]`: where AWS is, for everything that uses it. Credentials are found by the SDK and never configured here.

use ca_backends::aws::{AwsPlace, EndpointUrl, PlaceProblem, Region};

use super::settings::Settings;

pub(super) fn read(settings: &mut Settings) -> AwsPlace {
    AwsPlace {
        region: value(settings, "aws.region", Region::parse),
        endpoint_url: value(settings, "aws.endpoint_url", EndpointUrl::parse),
    }
}

fn value<T>(settings: &mut Settings, key: &'static str, parse: fn(&str) -> Result<T, PlaceProblem>) -> Option<T> {
    let parsed = parse(settings.text(key)?);
    parsed.map_err(|problem| settings.invalid(key, problem.to_string())).ok()
}
