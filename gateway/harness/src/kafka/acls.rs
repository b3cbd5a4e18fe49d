//! Access rights on topics, by two requests of Kafka's protocol that the Kafka client has no safe call for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
/// The last version of both without compact encodings.
const VERSION: i16 = 1;
const CORRELATION: i32 = 7;

const TOPIC: i8 = 2;
const PREFIXED: i8 = 4;
const ALL: i8 = 2;
const DENY: i8 = 2;
const ALLOW: i8 = 3;
/// Everybody, on a listener without passwords.
const PRINCIPAL: &str = "User:ANONYMOUS";
const ANSWER: Duration = Duration::from_secs(10);

/// An operation on a topic, by its code in the protocol.
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
    let answer = ask(broker, CREATE_ACLS, &body)?;
    // The time of throttling, then an error code for each.
    ensure!(
        answer.len() >= 10 && answer[8..10] == [0, 0],
        "rights on {prefix}: {answer:?}"
    );
    Ok(())
}

/// Takes back all that was denied for this prefix.
pub(super) fn allow(broker: &str, prefix: &str) -> Result<()> {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes());
    body.push(TOPIC as u8);
    string(&mut body, prefix);
    body.push(PREFIXED as u8);
    // Any principal, any host.
    body.extend((-1_i16).to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    // Any operation.
    body.extend([1, DENY as u8]);
    let answer = ask(broker, DELETE_ACLS, &body)?;
    ensure!(
        answer.len() >= 10 && answer[8..10] == [0, 0],
        "rights on {prefix}: {answer:?}"
    );
    Ok(())
}

/// The answer behind its header.
fn ask(broker: &str, api: i16, body: &[u8]) -> Result<Vec<u8>> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(CORRELATION.to_be_bytes());
    string(&mut request, "harness");
    request.extend(body);
    let mut stream = TcpStream::connect(broker).with_context(|| format!("connect to {broker}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(&i32::try_from(request.len())?.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .context("Kafka has closed the connection")?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length))?];
    stream.read_exact(&mut answer)?;
    ensure!(
        answer.len() >= 4 && answer[..4] == CORRELATION.to_be_bytes(),
        "{answer:?}"
    );
    Ok(answer.split_off(4))
}

fn string(body: &mut Vec<u8>, text: &str) {
    // The harness' own names, which are short.
    body.extend((text.len() as i16).to_be_bytes());
    body.extend(text.as_bytes());
}
