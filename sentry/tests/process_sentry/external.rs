//! Issuers from outside: the test plays cert-manager, and whoever approves and signs requests.

mod moving;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::ensure;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use trilby_testkit::{
    ApiServer, Kube,
    mesh::{TRUST_DOMAIN, install_crds},
    services::Sentry,
    unexpected,
};

use crate::caller::{Caller, identity, openssl_verify, request};

const BUNDLE: &str = "dapr-trust-bundle";
const DAY: Duration = Duration::from_hours(24);
const CERT_MANAGER: &str = "certificaterequest/dapr-sentry-issuer";

/// An authority outside the mesh.
struct Outside {
    root: String,
    signer: Issuer<'static, KeyPair>,
}

impl Outside {
    fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "outside");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = (SystemTime::now() - 400 * DAY).into();
        params.not_after = (SystemTime::now() + 400 * DAY).into();
        let root = params.self_signed(&key).unwrap();
        Self {
            root: root.pem(),
            signer: Issuer::from_ca_cert_der(root.der(), key).unwrap(),
        }
    }

    /// The certificate that a request object asks for, for a life that is over by so many days out of 100.
    fn answers(&self, object: &Value, over: u32) -> String {
        self.answers_changed(object, over, |_| {})
    }

    fn answers_changed(
        &self,
        object: &Value,
        over: u32,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let csr = object["spec"]["request"].as_str().unwrap();
        let csr = String::from_utf8(BASE64_STANDARD.decode(csr).unwrap()).unwrap();
        let mut csr = CertificateSigningRequestParams::from_pem(&csr).unwrap();
        let begin = SystemTime::now() - over * DAY;
        csr.params.not_before = begin.into();
        csr.params.not_after = (begin + 100 * DAY).into();
        csr.params.use_authority_key_identifier_extension = true;
        change(&mut csr.params);
        csr.signed_by(&self.signer).unwrap().pem()
    }
}

/// A cluster with an empty trust bundle, and a pod that wants a certificate.
struct World {
    api: ApiServer,
    namespace: String,
}

impl World {
    async fn new() -> Self {
        Self::on(ApiServer::start().await).await
    }

    async fn on(api: ApiServer) -> Self {
        install_crds(&api).await;
        let namespace = api.namespace("dapr-system").await;
        let metadata = |name: &str| json!({"name": name, "namespace": namespace});
        for object in [
            json!({
                "apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": metadata("daprsystem"),
                "spec": {"mtls": {"enabled": true, "sentryAddress": "unused:443", "controlPlaneTrustDomain": TRUST_DOMAIN}},
            }),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(BUNDLE)}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(BUNDLE)}),
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": metadata("cart"),
                "spec": {"containers": [{"name": "app", "image": "example.org/app:1"}]},
            }),
        ] {
            api.apply(&object.to_string()).await;
        }
        Self { api, namespace }
    }

    /// As little of cert-manager as the API server has to know.
    async fn install_cert_manager(&self) {
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "certificaterequests.cert-manager.io"},
            "spec": {
                "group": "cert-manager.io", "scope": "Namespaced",
                "names": {"kind": "CertificateRequest", "plural": "certificaterequests", "singular": "certificaterequest"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
                }],
            },
        });
        self.api.apply(&definition.to_string()).await;
        let name = "crd/certificaterequests.cert-manager.io";
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", name];
        self.api.kubectl(&wait).await;
    }

    fn sentry(&self, kubeconfig: PathBuf) -> Sentry {
        Sentry::new()
            .kubernetes(&kubeconfig, &self.namespace)
            .arg("--trust-domain", TRUST_DOMAIN)
    }

    fn with_cert_manager(&self) -> Sentry {
        self.sentry(self.api.kubeconfig().to_owned())
            .arg("--ca-source", "cert-manager")
            .arg("--ca-cert-manager-issuer", "mesh")
    }

    /// The request of this name, once it is there and not the one with the id `old`.
    async fn request(&self, name: &str, old: &Value) -> Value {
        let what = format!("{name} is there");
        self.api
            .eventually(&what, async |kube| {
                let found = kube.try_get_json(&self.namespace, name).await?;
                match found["metadata"]["uid"] == *old {
                    true => Err(unexpected("the old one")),
                    false => Ok(found),
                }
            })
            .await
    }

    /// Writes the status of a request, as its controller does.
    async fn say(&self, name: &str, status: Value) {
        let patch = json!({"status": status}).to_string();
        let arguments = ["patch", name, "-n", &self.namespace, "--subresource=status"];
        let patch = ["--type=merge", "-p", &patch];
        self.api.kubectl(&[&arguments[..], &patch].concat()).await;
    }

    async fn issue(&self, certificate: &str, root: &str) {
        let status = json!({
            "conditions": [
                {"type": "Approved", "status": "True", "reason": "test", "message": "approved"},
                {"type": "Ready", "status": "True", "reason": "Issued", "message": "issued"},
            ],
            "certificate": BASE64_STANDARD.encode(certificate),
            "ca": BASE64_STANDARD.encode(root),
        });
        self.say(CERT_MANAGER, status).await;
    }

    async fn bundle(&self) -> Value {
        let name = format!("secret/{BUNDLE}");
        self.api.get_json(&self.namespace, &name).await["data"].clone()
    }

    /// The bundle with another issuer than `old` has.
    async fn renewed_bundle(&self, old: &Value) -> Value {
        self.api
            .eventually("the issuer is renewed", async |_| {
                let found = self.bundle().await;
                match found["issuer.crt"] == old["issuer.crt"] {
                    true => Err(unexpected("the old one")),
                    false => Ok(found),
                }
            })
            .await
    }

    /// A leaf for the pod, which openssl finds good, and which leads to `root`.
    async fn leaf_is_good(&self, sentry: &Sentry, root: &str) {
        let caller = Caller {
            sentry: sentry.grpc_address(),
            sentry_id: self.audience().parse().unwrap(),
            anchors: root.to_owned(),
        };
        let audience = self.audience();
        let token = self.api.pod_token(&self.namespace, "cart", &audience).await;
        let asked = request(&self.namespace, "cart", &token);
        let response = caller.sign(asked).await.unwrap();
        assert_eq!(
            identity(&response),
            format!("spiffe://public/ns/{}/cart", self.namespace)
        );
        assert_eq!(
            certificates(&response.trust_chain_certificates.concat()),
            certificates(root.as_bytes())
        );
        openssl_verify(&response);
    }

    fn audience(&self) -> String {
        format!("spiffe://{TRUST_DOMAIN}/ns/{}/dapr-sentry", self.namespace)
    }
}

fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let certificates = trilby_identity::pem::certificates(pem).unwrap();
    certificates
        .into_iter()
        .map(|found| found.to_vec())
        .collect()
}

fn decoded(bundle: &Value, key: &str) -> Vec<u8> {
    BASE64_STANDARD
        .decode(bundle[key].as_str().unwrap())
        .unwrap()
}

#[tokio::test]
async fn cert_manager_signs_the_issuer_and_the_next_one() {
    let (world, outside) = (World::new().await, Outside::new());
    let mut sentry = world.with_cert_manager();
    sentry.launch();
    let log = sentry.log();
    log.wait_for("the API server does not serve that kind; cert-manager does")
        .await;
    assert!(!sentry.is_healthy().await);

    world.install_cert_manager().await;
    let asked = world.request(CERT_MANAGER, &Value::Null).await;
    let spec = &asked["spec"];
    assert_eq!(
        spec["issuerRef"],
        json!({"name": "mesh", "kind": "Issuer", "group": "cert-manager.io"})
    );
    assert_eq!(
        (&spec["isCA"], &spec["duration"]),
        (&json!(true), &json!("8760h0m0s"))
    );
    assert_eq!(
        spec["usages"],
        json!(["digital signature", "cert sign", "crl sign"])
    );
    log.wait_for("waits for approval").await;

    // Whoever comes after it goes on with the same request.
    sentry.kill().await;
    let position = log.position();
    sentry.launch();
    log.wait_for_after(position, "waits for approval").await;
    let again = world.request(CERT_MANAGER, &Value::Null).await;
    assert_eq!(again["metadata"]["uid"], asked["metadata"]["uid"]);

    // Seven tenths of its life are over when it comes.
    world
        .issue(&outside.answers(&asked, 70), &outside.root)
        .await;
    sentry.healthy().await;
    let first = world.bundle().await;
    assert_eq!(
        certificates(&decoded(&first, "ca.crt")),
        certificates(outside.root.as_bytes())
    );
    assert!(first.get("ca.key").is_none());
    world.leaf_is_good(&sentry, &outside.root).await;

    let next = world.request(CERT_MANAGER, &asked["metadata"]["uid"]).await;
    assert_ne!(next["spec"]["request"], asked["spec"]["request"]);
    sentry.kill().await;
    sentry.launch();
    world.issue(&outside.answers(&next, 1), &outside.root).await;
    let second = world.renewed_bundle(&first).await;
    assert_ne!(second["issuer.key"], first["issuer.key"]);
    assert_eq!(second["ca.crt"], first["ca.crt"]);
    sentry.healthy().await;
    log.wait_for("issuer renewed").await;
    world.leaf_is_good(&sentry, &outside.root).await;
    for (name, value) in second.as_object().unwrap() {
        let key = String::from_utf8(decoded(&second, name)).unwrap();
        let secret = key.contains("PRIVATE KEY") && !log.text().contains(value.as_str().unwrap());
        assert!(secret || !key.contains("PRIVATE KEY"), "{name} is logged");
    }
}

#[tokio::test]
async fn answers_that_make_no_authority_are_refused_and_asked_again() {
    let (world, outside) = (World::new().await, Outside::new());
    world.install_cert_manager().await;
    let mut replicas = [world.with_cert_manager(), world.with_cert_manager()];
    replicas.iter_mut().for_each(Sentry::launch);
    let log = replicas[0].log();
    let mut old = Value::Null;
    let leaf = |params: &mut CertificateParams| params.is_ca = IsCa::NoCa;
    let stranger = Outside::new();
    for (answer, complaint) in [
        (None, "was denied (Policy: never)"),
        (Some((&outside, true)), "is not a certificate authority's"),
        (Some((&stranger, false)), "does not chain to the roots"),
    ] {
        let asked = world.request(CERT_MANAGER, &old).await;
        old = asked["metadata"]["uid"].clone();
        match answer {
            None => {
                let denied = json!([{"type": "Denied", "status": "True", "reason": "Policy", "message": "never"}]);
                world.say(CERT_MANAGER, json!({"conditions": denied})).await;
            }
            Some((signer, true)) => {
                let certificate = signer.answers_changed(&asked, 1, leaf);
                world.issue(&certificate, &outside.root).await;
            }
            Some((signer, false)) => {
                world.issue(&signer.answers(&asked, 1), &outside.root).await;
            }
        }
        log.wait_for(complaint).await;
        assert!(!replicas[0].is_healthy().await);
        let delete = ["delete", CERT_MANAGER, "-n", &world.namespace];
        world.api.kubectl(&delete).await;
    }
    let asked = world.request(CERT_MANAGER, &old).await;
    world
        .issue(&outside.answers(&asked, 1), &outside.root)
        .await;
    for replica in &mut replicas {
        replica.healthy().await;
        world.leaf_is_good(replica, &outside.root).await;
    }
}

/// What the chart renders for sentry with these values: rights, and arguments about the authority outside.
async fn chart(world: &World, values: &[&str]) -> Vec<String> {
    let rights = render(world, "charts/dapr_rbac/templates/sentry.yaml", values).await;
    world.api.apply(&rights).await;
    let deployment = "charts/dapr_sentry/templates/dapr_sentry_deployment.yaml";
    let deployment = render(world, deployment, values).await;
    let arguments = deployment.lines().map(str::trim).filter_map(|line| {
        let argument = line.strip_prefix("- \"")?.strip_suffix('"')?;
        argument.starts_with("--ca-").then(|| argument.to_owned())
    });
    arguments.collect()
}

async fn render(world: &World, template: &str, values: &[&str]) -> String {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/dapr");
    let mut arguments = vec!["template", "dapr", chart, "-n", &world.namespace];
    arguments.extend(["--show-only", template]);
    arguments.extend(values);
    world.api.helm(&arguments).await
}

/// What the values add to the account's rights in this group of the API was made use of, all of it; and it asked for
/// nothing that it may not.
async fn rights_are_used(world: &World, plural: &str) {
    let account = (world.namespace.as_str(), "dapr-sentry");
    let mut rights = world.api.rights_of(account.0, account.1).await;
    rights.retain(|right| right.ends_with(plural));
    assert!(!rights.is_empty(), "the value adds rights");
    let used = async |_: &Kube| {
        let idle = world.api.idle_rights(account, &rights);
        ensure!(idle.is_empty(), "idle: {idle:?}");
        Ok(())
    };
    world.api.eventually("all rights are used", used).await;
    let forbidden = world.api.forbidden_to(account.0, account.1);
    assert_eq!(forbidden, Vec::<String>::new());
}

/// A sentry with the rights and the arguments that the chart gives it, but roots in a file of its own.
async fn as_the_chart_says(world: &World, values: &[&str], outside: &Outside) -> Sentry {
    let arguments = chart(world, values).await;
    let account = "dapr-sentry";
    let kubeconfig = world.api.kubeconfig_of(&world.namespace, account).await;
    let mut sentry = world.sentry(kubeconfig);
    let roots = sentry.file("roots.pem", &outside.root);
    for argument in &arguments {
        let (flag, value) = argument.split_once('=').unwrap();
        sentry = match flag {
            "--ca-roots-file" => sentry.arg(flag, roots.display()),
            _ => sentry.arg(flag, value),
        };
    }
    sentry
}

#[tokio::test]
async fn a_signing_request_is_approved_and_signed_with_the_charts_rights() {
    let world = World::on(ApiServer::start_audited().await).await;
    let outside = Outside::new();
    let values = [
        "--set",
        "global.externalCA.source=certificate-signing-request",
        "--set",
        "global.externalCA.signerName=example.com/mesh",
        "--set",
        "global.externalCA.roots.configMap=roots",
    ];
    let mut sentry = as_the_chart_says(&world, &values, &outside).await;
    sentry.launch();
    let name = format!("csr/dapr-sentry-issuer.{}", world.namespace);
    let asked = world.request(&name, &Value::Null).await;
    assert_eq!(asked["spec"]["signerName"], "example.com/mesh");
    assert_eq!(asked["spec"]["expirationSeconds"], 365 * 24 * 3600);
    let log = sentry.log();
    log.wait_for("waits for approval (kubectl certificate approve)")
        .await;
    world
        .api
        .kubectl(&["certificate", "approve", name.trim_start_matches("csr/")])
        .await;
    log.wait_for("is approved and waits for its signer").await;
    let certificate = BASE64_STANDARD.encode(outside.answers(&asked, 70));
    world.say(&name, json!({"certificate": certificate})).await;
    sentry.healthy().await;
    world.leaf_is_good(&sentry, &outside.root).await;
    // Seven tenths of its life are over: it is deleted and made again.
    let next = world.request(&name, &asked["metadata"]["uid"]).await;
    assert_ne!(next["spec"]["request"], asked["spec"]["request"]);
    rights_are_used(&world, " certificatesigningrequests").await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_made_again_with_the_charts_rights() {
    let world = World::on(ApiServer::start_audited().await).await;
    let outside = Outside::new();
    world.install_cert_manager().await;
    let values = [
        "--set",
        "global.externalCA.source=cert-manager",
        "--set",
        "global.externalCA.certManager.issuer=mesh",
        "--set",
        "global.externalCA.roots.configMap=roots",
        "--set",
        "global.externalCA.requestTimeout=1s",
    ];
    let mut sentry = as_the_chart_says(&world, &values, &outside).await;
    sentry.launch();
    let asked = world.request(CERT_MANAGER, &Value::Null).await;
    let next = world.request(CERT_MANAGER, &asked["metadata"]["uid"]).await;
    sentry.log().wait_for("asking again").await;
    // The key is the same: nobody has certified it.
    let key = |object: &Value| {
        let csr = BASE64_STANDARD.decode(object["spec"]["request"].as_str().unwrap());
        let csr = String::from_utf8(csr.unwrap()).unwrap();
        let csr = CertificateSigningRequestParams::from_pem(&csr).unwrap();
        csr.public_key
    };
    assert_eq!(key(&asked), key(&next));
    rights_are_used(&world, " certificaterequests").await;
}
