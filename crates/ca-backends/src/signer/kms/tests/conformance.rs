//! What AWS KMS does, asked through the SDK: of the double, of moto, which others wrote, and, when asked for, of AWS itself. So the
//! double is not judged by itself. What moto does otherwise than AWS is left out for it, and named here: it hashes digests again,
//! salts PSS as long as it can, lets disabled keys sign, knows no dry run and no limit of length.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::sign::SignError;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType};
use ca_test_services::MotoServer;

use super::*;

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    Double,
    Moto,
    Aws,
}

/// Keys that a run has made, to be deleted when it ends.
struct Run {
    judged: Judged,
    client: Client,
    made: std::sync::Mutex<Vec<String>>,
}

const MESSAGE: &[u8] = b"a message that is signed";

impl Run {
    fn new(judged: Judged, access: &AwsAccess) -> Self {
        Self { judged, client: Client::new(access.config()), made: std::sync::Mutex::default() }
    }

    /// Every rule, and then the keys that were made are deleted.
    async fn all(&self) {
        self.kinds_of_keys_sign_messages().await;
        self.a_digest_is_signed_as_it_is().await;
        self.names_lead_to_keys().await;
        self.states_come_and_go().await;
        self.what_does_not_fit_is_refused().await;
        self.what_is_sealed_opens_under_its_context().await;
        let made = std::mem::take(&mut *self.made.lock().expect("a lock"));
        for key in made {
            let _gone = self.client.schedule_key_deletion().key_id(key).pending_window_in_days(7).send().await;
        }
    }

    async fn create(&self, spec: KeySpec, usage: KeyUsageType) -> String {
        let made = self.client.create_key().key_spec(spec).key_usage(usage).description("cartorio conformance").send();
        let arn = made.await.expect("a key").key_metadata.expect("its metadata").arn.expect("an ARN");
        self.made.lock().expect("a lock").push(arn.clone());
        arn
    }

    async fn signing_key(&self, spec: KeySpec) -> String {
        self.create(spec, KeyUsageType::SignVerify).await
    }

    async fn sign(
        &self,
        key: &str,
        algorithm: SigningAlgorithmSpec,
        message_type: MessageType,
        message: &[u8],
    ) -> Result<SignOutput, SdkError<SignError>> {
        let request = self.client.sign().key_id(key).signing_algorithm(algorithm).message_type(message_type);
        request.message(Blob::new(message)).send().await
    }

    async fn public_key(&self, key: &str) -> PublicKey {
        let found = self.client.get_public_key().key_id(key).send().await.expect("a public key");
        assert_eq!(found.key_usage(), Some(&KeyUsageType::SignVerify));
        PublicKey::from_spki_der(found.public_key().expect("octets").as_ref()).expect("a sound public key")
    }

    async fn kinds_of_keys_sign_messages(&self) {
        for (spec, key_type) in [
            (KeySpec::Rsa2048, KeyType::Rsa2048),
            (KeySpec::EccNistP256, KeyType::P256),
            (KeySpec::EccNistP384, KeyType::P384),
            (KeySpec::EccNistP521, KeyType::P521),
        ] {
            let key = self.signing_key(spec.clone()).await;
            let described = self.client.describe_key().key_id(&key).send().await.expect("described");
            let described = described.key_metadata().expect("its metadata");
            assert_eq!((described.key_spec(), described.key_state()), (Some(&spec), Some(&KeyState::Enabled)));
            assert_eq!(described.arn(), Some(key.as_str()));
            let public_key = self.public_key(&key).await;
            assert_eq!(public_key.key_type(), key_type);
            let algorithm = algorithm_of(key_type, key_type.signature_algorithm()).expect("one");
            assert!(described.signing_algorithms().contains(&algorithm), "{described:?}");
            let signed = self.sign(&key, algorithm, MessageType::Raw, MESSAGE).await.expect("signed");
            let signature = signed.signature().expect("octets").as_ref();
            assert_eq!(public_key.verify(key_type.signature_algorithm(), MESSAGE, signature), Ok(()), "{spec:?}");
        }
    }

    async fn a_digest_is_signed_as_it_is(&self) {
        if self.judged == Judged::Moto {
            return;
        }
        for (spec, key_type) in [(KeySpec::EccNistP384, KeyType::P384), (KeySpec::Rsa2048, KeyType::Rsa2048)] {
            let key = self.signing_key(spec).await;
            let public_key = self.public_key(&key).await;
            let algorithm = algorithm_of(key_type, key_type.signature_algorithm()).expect("one");
            let mut hasher = key_type.signature_algorithm().hasher().expect("a digest");
            hasher.update(MESSAGE);
            let digest = hasher.finish();
            let signed = self.sign(&key, algorithm, MessageType::Digest, digest.octets()).await.expect("signed");
            let signature = signed.signature().expect("octets").as_ref();
            assert_eq!(public_key.verify(key_type.signature_algorithm(), MESSAGE, signature), Ok(()));
            assert_eq!(signed.key_id(), Some(key.as_str()), "the ARN of the key that signed");
            // The salt of PSS is as long as the digest: what X.509 names and verifiers insist on.
            for (_, chosen) in SignatureAlgorithm::OF_RSA.into_iter().filter(|_| key_type.is_rsa()) {
                let asked_for = algorithm_of(key_type, chosen).expect("RSA has it");
                let mut hasher = chosen.hasher().expect("a digest");
                hasher.update(MESSAGE);
                let digest = hasher.finish();
                let signed = self.sign(&key, asked_for, MessageType::Digest, digest.octets()).await.expect("signed");
                let signature = signed.signature().expect("octets").as_ref();
                assert_eq!(public_key.verify(chosen, MESSAGE, signature), Ok(()), "{chosen}");
            }
        }
    }

    async fn names_lead_to_keys(&self) {
        let (first, second) =
            (self.signing_key(KeySpec::EccNistP256).await, self.signing_key(KeySpec::EccNistP256).await);
        // Of this run alone: an account may be used again.
        let alias = format!("alias/cartorio-conformance-{}", first.rsplit('-').next().unwrap_or_default());
        self.client.create_alias().alias_name(&alias).target_key_id(&first).send().await.expect("an alias");
        let again = self.client.create_alias().alias_name(&alias).target_key_id(&second).send().await;
        assert_eq!(again.expect_err("there is one").code(), Some("AlreadyExistsException"));
        let of_alias = self.client.describe_key().key_id(&alias).send().await.expect("described");
        assert_eq!(of_alias.key_metadata().and_then(|metadata| metadata.arn()), Some(first.as_str()));
        self.client.update_alias().alias_name(&alias).target_key_id(&second).send().await.expect("moved");
        if self.judged != Judged::Aws {
            // AWS takes its time.
            let of_alias = self.client.describe_key().key_id(&alias).send().await.expect("described");
            assert_eq!(of_alias.key_metadata().and_then(|metadata| metadata.arn()), Some(second.as_str()));
        }
        if self.judged == Judged::Aws {
            self.client.delete_alias().alias_name(&alias).send().await.expect("gone");
        }
        let nowhere = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let missing = self.client.describe_key().key_id(nowhere).send().await.expect_err("no such key");
        assert_eq!(missing.code(), Some("NotFoundException"));
        let algorithm = SigningAlgorithmSpec::EcdsaSha256;
        let missing = self.sign("alias/cartorio-no-such", algorithm, MessageType::Raw, MESSAGE).await;
        assert_eq!(missing.expect_err("no such alias").code(), Some("NotFoundException"));
    }

    async fn state(&self, key: &str) -> Option<KeyState> {
        let described = self.client.describe_key().key_id(key).send().await.expect("described");
        described.key_metadata().and_then(|metadata| metadata.key_state()).cloned()
    }

    /// Whether it signs, and which code it is refused with otherwise; moto lets keys sign in every state.
    async fn refusal(&self, key: &str) -> Option<String> {
        let signed = self.sign(key, SigningAlgorithmSpec::EcdsaSha256, MessageType::Raw, MESSAGE).await;
        signed.err().map(|error| error.code().unwrap_or("no code").to_owned())
    }

    async fn states_come_and_go(&self) {
        let is_strict = self.judged != Judged::Moto;
        let key = self.signing_key(KeySpec::EccNistP256).await;
        // moto changes no key that is named by its ARN.
        let id = key.rsplit('/').next().expect("an id");
        self.client.disable_key().key_id(id).send().await.expect("disabled");
        assert_eq!(self.state(&key).await, Some(KeyState::Disabled));
        if is_strict {
            assert_eq!(self.refusal(&key).await.as_deref(), Some("DisabledException"));
            let public = self.client.get_public_key().key_id(&key).send().await;
            assert_eq!(public.expect_err("disabled").code(), Some("DisabledException"));
        }
        self.client.enable_key().key_id(id).send().await.expect("enabled");
        assert_eq!(self.state(&key).await, Some(KeyState::Enabled));
        self.client.schedule_key_deletion().key_id(id).pending_window_in_days(7).send().await.expect("scheduled");
        assert_eq!(self.state(&key).await, Some(KeyState::PendingDeletion));
        if is_strict {
            assert_eq!(self.refusal(&key).await.as_deref(), Some("KMSInvalidStateException"));
        }
        self.client.cancel_key_deletion().key_id(id).send().await.expect("canceled");
        if is_strict {
            assert_eq!(self.state(&key).await, Some(KeyState::Disabled), "it must be enabled by itself");
        }
    }

    async fn what_does_not_fit_is_refused(&self) {
        let key = self.signing_key(KeySpec::EccNistP256).await;
        let refusal = |algorithm, message_type, message: Vec<u8>| {
            let key = key.clone();
            async move {
                let error = self.sign(&key, algorithm, message_type, &message).await.expect_err("refused");
                error.code().unwrap_or("no code").to_owned()
            }
        };
        let other = refusal(SigningAlgorithmSpec::EcdsaSha384, MessageType::Raw, MESSAGE.to_vec()).await;
        if self.judged == Judged::Moto {
            // Refused, with another code than AWS's.
            return;
        }
        assert_eq!(other, "InvalidKeyUsageException");
        let algorithm = SigningAlgorithmSpec::EcdsaSha256;
        assert_eq!(refusal(algorithm.clone(), MessageType::Raw, vec![7; 4_097]).await, "ValidationException");
        assert_eq!(refusal(algorithm.clone(), MessageType::Digest, vec![7; 31]).await, "ValidationException");
        let dry =
            self.client.sign().key_id(&key).signing_algorithm(algorithm).message(Blob::new(MESSAGE)).dry_run(true);
        assert_eq!(dry.send().await.expect_err("a dry run").code(), Some("DryRunOperationException"));
    }

    async fn what_is_sealed_opens_under_its_context(&self) {
        let (key, other) = (
            self.create(KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await,
            self.create(KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await,
        );
        let sealed = self.client.encrypt().key_id(&key).plaintext(Blob::new(MESSAGE)).encryption_context("room", "one");
        let blob = sealed.send().await.expect("sealed").ciphertext_blob.expect("octets");
        let open = |blob: &Blob, room: &str| {
            let request = self.client.decrypt().ciphertext_blob(blob.clone()).encryption_context("room", room);
            request.send()
        };
        let opened = open(&blob, "one").await.expect("opened");
        assert_eq!(opened.plaintext().map(AsRef::as_ref), Some(MESSAGE));
        assert_eq!(opened.key_id(), Some(key.as_str()));
        assert_eq!(open(&blob, "two").await.expect_err("another context").code(), Some("InvalidCiphertextException"));
        let again = self.client.re_encrypt().ciphertext_blob(blob).source_encryption_context("room", "one");
        let again = again.destination_key_id(&other).destination_encryption_context("room", "two").send();
        let again = again.await.expect("sealed again").ciphertext_blob.expect("octets");
        let opened = open(&again, "two").await.expect("opened");
        assert_eq!((opened.plaintext().map(AsRef::as_ref), opened.key_id()), (Some(MESSAGE), Some(other.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_double_does_what_aws_does() {
    let double = KmsDouble::start().expect("a double");
    Run::new(Judged::Double, &AwsAccess::of_tests(&double.endpoint_url()).await).all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_of_others_agrees_where_it_is_right() {
    let moto = MotoServer::start().expect("moto");
    Run::new(Judged::Moto, &AwsAccess::of_tests(&moto.endpoint_url()).await).all().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "asks AWS itself, which costs some cents: make test-aws"]
async fn aws_itself_does_what_the_double_does() {
    let access = AwsAccess::find(&crate::aws::AwsPlace::default()).await.expect("a region and credentials");
    Run::new(Judged::Aws, &access).all().await;
    // And the signer over a key of it.
    let run = Run::new(Judged::Aws, &access);
    let key = arn(&run.signing_key(KeySpec::EccNistP256).await);
    let signer = KmsKeys::new(access.clone(), KmsQuotas::default()).find(&key).await.expect("found");
    signer.check().await.expect("it would sign");
    signer.sign(&message(2)).await.expect("signed and verified");
    run.client.schedule_key_deletion().key_id(key.as_str()).pending_window_in_days(7).send().await.expect("scheduled");
}
