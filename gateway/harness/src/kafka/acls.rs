//! Kafka ACLs on topics, by three protocol requests for which the Kafka client library has no safe function.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const DESCRIBE_ACLS: i16 = 29;
const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
/// The last version of these requests without compact encodings.
const VERSION: i16 = 1;
const CORRELATION: i32 = 7;

const TOPIC: i8 = 2;
const PREFIXED: i8 = 4;
const ALL: i8 = 2;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
/// The principal of every client on a listener without authentication.
const PRINCIPAL: &str = "User:ANONYMOUS";
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Matches every operation in a filter.
const ANY: i8 = 1;
/// How often the broker is asked whether it knows of a change.
const INTERVAL: Duration = Duration::from_millis(10);

/// An operation on a topic, with its code in Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
}

/// Denies an operation on all topics whose names begin with `prefix`, and allows all others.
pub(super) fn deny(broker: &str, prefix: &str, operation: Operation) -> Result<()> {
    let mut body = Vec::new();
    body.extend(2_i32.to_be_bytes());
    for (operation, permission) in [(ALL, ALLOW), (operation as i8, DENY)] {
        body.push(TOPIC as u8);
        string(&mut body, prefix);
        body.push(PREFIXED as u8);
        string(&mut body, PRINCIPAL);
        string(&mut body, "*");
        body.extend([operation as u8, permission as u8]);
    }
    let response = send(broker, CREATE_ACLS, &body)?;
    // The throttle time, the number of results, and the error code of the first.
    ensure!(
        response.len() >= 10 && response[8..10] == [0, 0],
        "ACLs on {prefix}: {response:?}"
    );
    wait_for_denials(broker, prefix, operation as i8, true)
}

/// Removes all denials for this prefix.
pub(super) fn allow(broker: &str, prefix: &str) -> Result<()> {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes());
    body.extend(denials(prefix, ANY));
    let response = send(broker, DELETE_ACLS, &body)?;
    ensure!(
        response.len() >= 10 && response[8..10] == [0, 0],
        "ACLs on {prefix}: {response:?}"
    );
    wait_for_denials(broker, prefix, ANY, false)
}

/// Waits until the broker has (or no longer has) a denial of `operation` on `prefix`. The controller acknowledges a
/// change before the broker has read it from the metadata log, and until then the broker applies the old rules.
fn wait_for_denials(broker: &str, prefix: &str, operation: i8, expected: bool) -> Result<()> {
    let deadline = Instant::now() + RESPONSE_TIMEOUT;
    let filter = denials(prefix, operation);
    loop {
        let response = send(broker, DESCRIBE_ACLS, &filter)?;
        // The throttle time, the error code, no error message, and the number of resources.
        ensure!(
            response.len() >= 12 && response[4..6] == [0, 0],
            "ACLs on {prefix}: {response:?}"
        );
        // An empty list is the end of the response.
        let found = !response.ends_with(&[0; 4]);
        if found == expected {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the broker has not applied the ACLs on {prefix}"
        );
        thread::sleep(INTERVAL);
    }
}

/// A filter for the denials of `operation` on `prefix`, of any principal and host.
fn denials(prefix: &str, operation: i8) -> Vec<u8> {
    let mut filter = vec![TOPIC as u8];
    string(&mut filter, prefix);
    filter.push(PREFIXED as u8);
    filter.extend((-1_i16).to_be_bytes());
    filter.extend((-1_i16).to_be_bytes());
    filter.extend([operation as u8, DENY as u8]);
    filter
}

/// Sends a request and returns the response without its header.
fn send(broker: &str, api: i16, body: &[u8]) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    string(&mut request, "harness");
    request.extend(body);
    let mut stream = TcpStream::connect(broker).with_context(|| format!("connect to {broker}"))?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    stream.write_all(&i32::try_from(request.len())?.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .context("Kafka has closed the connection")?;
    let mut response = vec![0; usize::try_from(i32::from_be_bytes(length))?];
    stream.read_exact(&mut response)?;
    ensure!(
        response.len() >= 4 && response[..4] == CORRELATION.to_be_bytes(),
        "{response:?}"
    );
    Ok(response.split_off(4))
}

fn string(body: &mut Vec<u8>, text: &str) {
    // The harness uses short strings, so the length fits.
    body.extend((text.len() as i16).to_be_bytes());
    body.extend(text.as_bytes());
}
