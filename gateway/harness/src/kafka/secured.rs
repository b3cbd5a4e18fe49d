//! A Kafka with a second listener like a chain's: SASL/SCRAM over TLS, where every operation needs an ACL.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::jars::Jars;
use super::{Kafka, KafkaSettings};
use crate::scratch::{Scratch, free_port};

/// The mechanism of the secured listener.
const MECHANISM: &str = "SCRAM-SHA-512";

/// A second listener, beside the one without authentication that the harness's own clients use.
#[derive(Debug, Clone)]
pub struct SecureListener {
    pub port: u16,
    /// Certificate and key of the server, in PEM.
    pub keystore: PathBuf,
}

impl SecureListener {
    /// The lines of `server.properties`. The harness is the administrator, because only it knows the other listener.
    pub(super) fn properties(&self) -> String {
        let keystore = self.keystore.display();
        format!(
            "\
sasl.enabled.mechanisms={MECHANISM}
listener.name.secure.sasl.enabled.mechanisms={MECHANISM}
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS
"
        )
    }
}

/// A Kafka with a [`SecureListener`].
#[derive(Debug)]
pub struct SecuredKafka {
    kafka: Kafka,
    brokers: String,
    // Dropped after the process.
    files: Scratch,
}

impl SecuredKafka {
    /// Starts one node and waits until it is ready.
    ///
    /// # Errors
    /// Same as [`Kafka::start_with`].
    pub async fn start() -> Result<Self> {
        let files = Scratch::new("kafka-tls")?;
        let keystore = certificates(&files)?;
        let port = free_port()?;
        let settings = KafkaSettings {
            secure: Some(SecureListener { port, keystore }),
            ..KafkaSettings::default()
        };
        Ok(Self {
            kafka: Kafka::start_with(settings).await?,
            brokers: format!("127.0.0.1:{port}"),
            files,
        })
    }

    /// The cluster through its listener without authentication, on which everything is allowed.
    pub fn as_administrator(&self) -> &Kafka {
        &self.kafka
    }

    /// `host:port` of the secured listener.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The librdkafka properties of a user.
    pub fn client_properties(&self, user: &str, password: &str) -> Vec<(&'static str, String)> {
        vec![
            ("security.protocol", "sasl_ssl".to_owned()),
            ("sasl.mechanism", MECHANISM.to_owned()),
            ("sasl.username", user.to_owned()),
            ("sasl.password", password.to_owned()),
            ("ssl.ca.location", self.authority().display().to_string()),
        ]
    }

    fn authority(&self) -> PathBuf {
        self.files.join(AUTHORITY)
    }

    /// A folder with `kafka-acls.sh`, `kafka-configs.sh` and `kafka-topics.sh`, as Kafka's own download has them.
    ///
    /// # Errors
    /// The tools are not in the cache.
    pub fn tools(&self) -> Result<PathBuf> {
        let class_path = Jars::find()?.tools_class_path()?;
        let folder = self.files.join("bin");
        fs::create_dir_all(&folder)?;
        for (name, class) in [
            ("kafka-acls.sh", "AclCommand"),
            ("kafka-configs.sh", "ConfigCommand"),
            ("kafka-topics.sh", "TopicCommand"),
        ] {
            let script = format!(
                "#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xmx128m \
                 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '{class_path}' org.apache.kafka.tools.{class} \"$@\"\n"
            );
            let file = folder.join(name);
            fs::write(&file, script)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(folder)
    }
}

const AUTHORITY: &str = "authority.pem";

/// Makes an authority and a certificate for 127.0.0.1. Returns the server's keystore.
fn certificates(files: &Scratch) -> Result<PathBuf> {
    let mut authority = CertificateParams::new(Vec::new())?;
    // Distinct names, or OpenSSL takes the server's certificate for a self-signed one.
    authority
        .distinguished_name
        .push(DnType::CommonName, "Comptoir's harness");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let certificate = authority.self_signed(&authority_key)?;
    write(&files.join(AUTHORITY), &certificate.pem())?;
    let issuer = Issuer::new(authority, authority_key);
    let server_key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let server = server.signed_by(&server_key, &issuer)?;
    let keystore = files.join("server.pem");
    let text = format!(
        "{}{}{}",
        server_key.serialize_pem(),
        server.pem(),
        certificate.pem()
    );
    write(&keystore, &text)?;
    Ok(keystore)
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}
