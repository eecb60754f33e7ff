//! Deployments that events ask for: made once, whatever is cut off, at doubles and at moto, and what is told when AWS refuses.

use ca_core::time::Lifetime;
use ca_test_doubles::{CodeDeployDouble, EcsDouble, Fault};
use ca_test_services::MotoServer;
use serde_json::{Value, json};

use super::*;
use crate::aws::{AwsAccess, Protocol, Service};
use crate::sink::aws::AwsSinks;

/// 2026-11-20T12:00:00Z.
const NOW: i64 = 1_795_176_000;
const REGION: &str = "sa-east-1";

async fn deployments(endpoint_url: &str) -> Deployments {
    AwsSinks::of_tests(endpoint_url).await.deployments(REGION.to_owned())
}

fn rotated(number: u8, hooks: &[&str]) -> SinkEvent {
    let time = Timestamp::from_unix_seconds(NOW).to_rfc3339();
    let body = json!({ "hooks": hooks, "managed": "web", "time": time, "topic": "certificate.rotated" });
    SinkEvent {
        id: DeliveryId::from_bytes([number; 16]),
        topic: "certificate.rotated".to_owned(),
        certificate: None,
        body: body.to_string(),
    }
}

fn revision() -> Value {
    json!({ "revisionType": "S3", "s3Location": { "bucket": "releases", "key": "web.zip", "bundleType": "zip" } })
}

const GROUP: &str = "codedeploy:web/production";

fn group() -> CodeDeployDouble {
    let double = CodeDeployDouble::start("web", "production", NOW).expect("a double");
    double.deploy("web", "production", revision());
    double
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_its_last_revision_deployed_again_and_once_for_each_event() {
    let double = group();
    // More than fit on a page, and younger than the rotation.
    for _ in 0..3 {
        double.deploy("web", "production", revision());
    }
    let before = double.deployments().len();
    let sink = deployments(&double.endpoint_url()).await;
    sink.deliver(&rotated(1, &[GROUP])).await.expect("deployed");
    let made = double.deployments();
    assert_eq!(made.len(), before + 1);
    assert_eq!(made[before].revision, revision());
    assert!(made[before].description.contains(&rotated(1, &[]).id.to_string()), "{:?}", made[before]);
    // It comes again: to this process, and to another that remembers nothing.
    sink.deliver(&rotated(1, &[GROUP])).await.expect("it is there");
    deployments(&double.endpoint_url()).await.deliver(&rotated(1, &[GROUP])).await.expect("it is there");
    assert_eq!(double.deployments().len(), before + 1);
    sink.deliver(&rotated(2, &[GROUP])).await.expect("another event");
    assert_eq!(double.deployments().len(), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_answer_is_lost_is_found_instead_of_made_again() {
    for fault in [Fault::RefuseAfterwards(400, "SaidByTheTest"), Fault::RefuseAfterwards(500, "InternalFailure")] {
        let double = group();
        let sink = deployments(&double.endpoint_url()).await;
        double.fail("CreateDeployment", [fault]);
        assert!(sink.deliver(&rotated(1, &[GROUP])).await.is_err(), "{fault:?}: it is not asked for again at once");
        sink.deliver(&rotated(1, &[GROUP])).await.expect("it is there");
        assert_eq!(double.deployments().len(), 2, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_hook_is_told_and_holds_up_no_other() {
    let double = CodeDeployDouble::start("web", "production", NOW).expect("a double");
    let sink = deployments(&double.endpoint_url()).await;
    for (hook, part) in [
        (GROUP, "no deployment of the group has succeeded yet"),
        ("codedeploy:nothing/production", "ApplicationDoesNotExistException"),
        ("codedeploy:web/nothing", "DeploymentGroupDoesNotExistException"),
    ] {
        let error = sink.deliver(&rotated(1, &[hook])).await.expect_err("it is refused");
        assert!(matches!(&error, SinkError::Refused { detail } if detail.contains(part)), "{hook}: {error}");
        assert!(error.to_string().contains(hook), "{error}");
    }
    double.deploy("web", "production", revision());
    let both = rotated(1, &["codedeploy:nothing/production", GROUP]);
    assert!(matches!(sink.deliver(&both).await, Err(SinkError::Refused { .. })));
    assert!(matches!(sink.deliver(&both).await, Err(SinkError::Refused { .. })));
    assert_eq!(double.deployments().len(), 2, "the second hook was carried out once");
    double.deny("CreateDeployment");
    let error = sink.deliver(&rotated(3, &[GROUP])).await.expect_err("denied");
    assert!(error.to_string().contains("codedeploy:CreateDeployment"), "{error}");
    double.allow("CreateDeployment");
    let throttled = [Fault::Refuse(400, "ThrottlingException"), Fault::Refuse(400, "ThrottlingException")];
    double.fail("ListDeployments", throttled);
    assert!(matches!(sink.deliver(&rotated(3, &[GROUP])).await, Err(SinkError::Unavailable { .. })));
    double.set_credentials_expired(true);
    assert!(matches!(sink.deliver(&rotated(3, &[GROUP])).await, Err(SinkError::Unavailable { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_deployed_anew_unless_it_was_since_the_rotation() {
    let double = EcsDouble::start(NOW - 1_000).expect("a double");
    double.add("main", "web", "ECS");
    let sink = deployments(&double.endpoint_url()).await;
    double.advance(1_010);
    sink.deliver(&rotated(1, &["ecs:main/web"])).await.expect("deployed");
    assert_eq!(double.deployments("main", "web"), 2);
    // Somebody deployed it long enough after the rotation: its tasks have read what is current.
    double.advance(3_600);
    double.add("main", "web", "ECS");
    deployments(&double.endpoint_url()).await.deliver(&rotated(1, &["ecs:main/web"])).await.expect("as good");
    assert_eq!(double.deployments("main", "web"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hook_that_is_done_is_not_done_again_because_of_another() {
    let double = EcsDouble::start(NOW).expect("a double");
    double.add("main", "web", "ECS");
    let sink = deployments(&double.endpoint_url()).await;
    let both = rotated(1, &["ecs:main/web", "ecs:main/nothing"]);
    for _ in 0..3 {
        let error = sink.deliver(&both).await.expect_err("there is no such service");
        assert!(matches!(&error, SinkError::Refused { detail } if detail.contains("no such service")), "{error}");
    }
    assert_eq!(double.deployments("main", "web"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ecs_does_not_deploy_is_refused_with_what_does() {
    let double = EcsDouble::start(NOW).expect("a double");
    double.add("main", "web", "CODE_DEPLOY");
    let sink = deployments(&double.endpoint_url()).await;
    let error = sink.deliver(&rotated(1, &["ecs:main/web"])).await.expect_err("refused");
    assert!(matches!(&error, SinkError::Refused { detail } if detail.contains("codedeploy:APPLICATION")), "{error}");
    let error = sink.deliver(&rotated(1, &["ecs:other/web"])).await.expect_err("refused");
    assert!(matches!(&error, SinkError::Refused { detail } if detail.contains("ClusterNotFound")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_events_and_events_without_hooks_are_taken_and_ask_for_nothing() {
    // Nobody listens there.
    let sink = deployments("http://127.0.0.1:1").await;
    let other = SinkEvent { topic: "certificate.issued".to_owned(), body: "{}".to_owned(), ..rotated(1, &[]) };
    assert_eq!(sink.deliver(&other).await, Ok(()));
    assert_eq!(sink.deliver(&rotated(1, &[])).await, Ok(()));
    let wrong = SinkEvent { body: "{\"hooks\": [\"lambda:x\"]}".to_owned(), ..rotated(1, &[]) };
    assert!(matches!(sink.deliver(&wrong).await, Err(SinkError::Gone { .. })));
    assert!(matches!(sink.deliver(&rotated(1, &[GROUP])).await, Err(SinkError::Unavailable { .. })));
}

/// moto, which others wrote, knows no deployment that succeeded: what is left of CodeDeploy is asked for step by step.
#[tokio::test(flavor = "multi_thread")]
async fn moto_takes_the_same_calls() {
    let moto = MotoServer::start().expect("moto");
    let access = AwsAccess::of_tests(&moto.endpoint_url()).await;
    let service = |name, target| {
        let protocol = Protocol::Json { version: "1.1", target };
        Service::new(&access, name, REGION, protocol, Duration::from_secs(60))
    };
    let codedeploy = service("codedeploy", "CodeDeploy_20141006");
    let application = json!({ "applicationName": "web", "computePlatform": "Server" });
    codedeploy.ask("CreateApplication", &application).await.expect("an application");
    let role = "arn:aws:iam::123456789012:role/deploy";
    let group = json!({ "applicationName": "web", "deploymentGroupName": "production", "serviceRoleArn": role });
    codedeploy.ask("CreateDeploymentGroup", &group).await.expect("a group");
    let sink = deployments(&moto.endpoint_url()).await;
    let hook: Hook = GROUP.parse().expect("a hook");
    // moto dates by its own clock; what is asked for is what was made since the rotation.
    let order = Order {
        delivery: rotated(7, &[]).id,
        rotated_at: Timestamp::from_unix_seconds(NOW).minus(Lifetime::from_days(3_650)),
        hook: &hook,
    };
    let description = codedeploy::description(&order);
    let is_made = || sink.codedeploy.is_made("web", "production", &order, &description);
    assert_eq!(is_made().await, Ok(false));
    let input = json!({
        "applicationName": "web",
        "deploymentGroupName": "production",
        "revision": revision(),
        "description": description,
    });
    sink.codedeploy.create(&order, &input).await.expect("deployed");
    assert_eq!(is_made().await, Ok(true));
    let error = sink.deliver(&rotated(1, &[GROUP])).await.expect_err("none has succeeded");
    assert!(error.to_string().contains("no deployment of the group has succeeded yet"), "{error}");
    let error = sink.deliver(&rotated(1, &["codedeploy:nothing/x"])).await.expect_err("there is none");
    assert!(error.to_string().contains("ApplicationDoesNotExistException"), "{error}");

    let ecs = service("ecs", "AmazonEC2ContainerServiceV20141113");
    ecs.ask("CreateCluster", &json!({ "clusterName": "main" })).await.expect("a cluster");
    let container = json!([{ "name": "web", "image": "web", "memory": 64 }]);
    let definition = json!({ "family": "web", "containerDefinitions": container });
    ecs.ask("RegisterTaskDefinition", &definition).await.expect("a task definition");
    let new = json!({ "cluster": "main", "serviceName": "web", "taskDefinition": "web", "desiredCount": 1 });
    ecs.ask("CreateService", &new).await.expect("a service");
    let primary = || async {
        let asked = json!({ "cluster": "main", "services": ["web"] });
        let answer = ecs.ask("DescribeServices", &asked).await.expect("an answer");
        answer["services"][0]["deployments"][0]["id"].clone()
    };
    let before = primary().await;
    // A rotation of the future, whichever that is: no deployment is younger.
    let later = Timestamp::from_unix_seconds(NOW).plus(Lifetime::from_days(36_500)).to_rfc3339();
    let body = json!({ "hooks": ["ecs:main/web"], "time": later }).to_string();
    sink.deliver(&SinkEvent { body, ..rotated(2, &[]) }).await.expect("deployed");
    assert_ne!(primary().await, before);
    let error = sink.deliver(&rotated(3, &["ecs:main/nothing"])).await.expect_err("there is none");
    assert!(matches!(&error, SinkError::Refused { .. }), "{error}");
}
