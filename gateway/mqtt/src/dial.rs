//! TCP and TLS.

use std::fmt::{self, Display};
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, InvalidMessage, RootCertStore};

use crate::error::Error;

/// The address of an MQTT broker.
#[derive(Debug, Clone, Copy)]
pub struct BrokerAddress<'a> {
    /// A host name or an IP address, without brackets.
    pub host: &'a str,
    pub port: u16,
}

impl Display for BrokerAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Connects over TCP. Disables Nagle's algorithm, so that small packets leave at once: an ack must not wait for the
/// next one.
pub async fn dial(address: BrokerAddress<'_>) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect((address.host, address.port))
        .await
        .map_err(|problem| Error::Unreachable {
            address: address.to_string(),
            problem,
        })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects over TLS, with the certificate authorities of the operating system.
pub async fn dial_tls(address: BrokerAddress<'_>) -> Result<TlsStream<TcpStream>, Error> {
    let stream = dial(address).await?;
    let host = address.host.to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|error| Error::ServerName(host, error))?;
    let connector = TlsConnector::from(client_config()?);
    connector
        .connect(name, stream)
        .await
        .map_err(|error| match is_not_tls(&error) {
            true => Error::NoTls,
            false => Error::Tls(error),
        })
}

/// Trusts the operating system's certificate authorities, or those in the file named by `SSL_CERT_FILE`. They are read
/// for each connection, because they may be renewed while the program runs.
fn client_config() -> Result<Arc<ClientConfig>, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (trusted, _) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        let problem = found.errors.first().map(ToString::to_string);
        let problem = problem.unwrap_or_else(|| "none were found".to_owned());
        return Err(Error::NoCaCertificate(problem));
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether a TLS handshake failed because the peer does not speak TLS.
fn is_not_tls(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(
        cause,
        Some(TlsError::InvalidMessage(InvalidMessage::InvalidContentType))
    )
}
