//! Checks the packets of clients before rumqttd parses them.
//!
//! rumqttd trusts its clients: a topic that begins with a non-ASCII character, or a second CONNECT with a client id
//! that it refuses, makes one of its threads panic. So only packets with valid framing, strings and properties reach
//! it, and only the parts of MQTT that Comptoir's clients use: QoS 0 and 1, no shared subscriptions, no AUTH. (MQTT
//! 3.1.1 and MQTT 5, sections 2 and 3.)

use bytes::{BufMut, BytesMut};

/// Largest packet other than PUBLISH, in bytes: a SUBSCRIBE with a few filters, or a CONNECT with its last will.
pub const MAX_CONTROL: usize = 8 << 10;
/// Most bytes for the topic and properties of a PUBLISH.
pub const MAX_PUBLISH_HEAD: usize = 8 << 10;
/// Longest client id, topic and filter, in bytes. A till's are below 100.
const MAX_NAME: usize = 256;
/// Most filters in one SUBSCRIBE or UNSUBSCRIBE.
const MAX_FILTERS: usize = 32;

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
/// The first byte of a CONNACK.
const CONNACK_FIRST: u8 = 0x20;
const PINGREQ: u8 = 12;
pub const DISCONNECT: u8 = 14;

/// The MQTT version in a client's CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V3,
    V5,
}

/// Why a packet is refused, as an MQTT 5 reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Malformed = 0x81,
    Protocol = 0x82,
    Version = 0x84,
    ClientId = 0x85,
    FilterInvalid = 0x8F,
    TopicInvalid = 0x90,
    TooLarge = 0x95,
    /// The client was silent for too long, or did not use its connection.
    Silent = 0x8D,
    QuotaExceeded = 0x97,
    QosNotSupported = 0x9B,
    SharedSubscriptions = 0x9E,
}

impl Refusal {
    /// The return code of an MQTT 3.1.1 CONNACK.
    fn connack_3(self) -> u8 {
        match self {
            Refusal::Version => 1,
            Refusal::ClientId => 2,
            _ => 3,
        }
    }

    /// The CONNACK that refuses a CONNECT.
    pub fn connack(self, version: Version) -> Vec<u8> {
        match version {
            Version::V3 => vec![0x20, 2, 0, self.connack_3()],
            Version::V5 => vec![0x20, 3, 0, self as u8, 0],
        }
    }

    /// The DISCONNECT that ends a connection; empty for MQTT 3.1.1, which has none.
    pub fn disconnect(self, version: Version) -> Vec<u8> {
        match version {
            Version::V3 => Vec::new(),
            Version::V5 => vec![0xE0, 1, self as u8],
        }
    }

    /// The label value in the metric.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::Malformed | Refusal::Protocol | Refusal::Version => "packet",
            Refusal::ClientId => "client_id",
            Refusal::TopicInvalid => "topic",
            Refusal::FilterInvalid | Refusal::SharedSubscriptions => "filter",
            Refusal::TooLarge => "size",
            Refusal::Silent => "waiting",
            Refusal::QuotaExceeded => "quota",
            Refusal::QosNotSupported => "qos",
        }
    }
}

/// The fields of a CONNECT that the door needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Connect {
    pub version: Version,
    /// In seconds; 0 disables the keep-alive.
    pub keep_alive: u16,
    pub client_id: String,
    pub credentials: Option<(String, Vec<u8>)>,
    /// The topic of the last will.
    pub will_topic: Option<String>,
}

/// Reads the fields of one packet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Refusal::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Refusal> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn binary(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn text(&mut self) -> Result<&'a str, Refusal> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Refusal::Malformed)?;
        match text.contains('\0') {
            true => Err(Refusal::Malformed),
            false => Ok(text),
        }
    }

    fn packet_id(&mut self) -> Result<(), Refusal> {
        match self.u16()? {
            0 => Err(Refusal::Protocol),
            _ => Ok(()),
        }
    }

    /// A variable byte integer: at most four bytes; every byte but the last has its high bit set.
    fn varint(&mut self) -> Result<usize, Refusal> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Refusal::Malformed)
    }

    /// Validates MQTT 5 properties. Returns whether they include a topic alias.
    fn properties(&mut self, version: Version) -> Result<bool, Refusal> {
        if version == Version::V3 {
            return Ok(false);
        }
        let length = self.varint()?;
        let mut properties = Fields(self.take(length)?);
        let mut has_alias = false;
        while !properties.0.is_empty() {
            // Section 2.2.2.2: the type of each property.
            match properties.byte()? {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => drop(properties.take(1)?),
                0x23 => {
                    has_alias = true;
                    properties.u16()?;
                }
                0x13 | 0x21 | 0x22 => drop(properties.u16()?),
                0x02 | 0x11 | 0x18 | 0x27 => drop(properties.take(4)?),
                0x0B => drop(properties.varint()?),
                0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => drop(properties.text()?),
                0x09 | 0x16 => drop(properties.binary()?),
                0x26 => {
                    properties.text()?;
                    properties.text()?;
                }
                _ => return Err(Refusal::Malformed),
            }
        }
        Ok(has_alias)
    }

    fn end(&self) -> Result<(), Refusal> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Malformed),
        }
    }
}

/// Reads a fixed header. Returns the length of the rest of the packet and of the header itself; `None` if more bytes
/// are needed.
///
/// # Errors
/// The length field has more than four bytes.
pub fn fixed_header(bytes: &[u8]) -> Result<Option<(usize, usize)>, Refusal> {
    let mut fields = Fields(bytes.get(1..).unwrap_or_default());
    match fields.varint() {
        Ok(remaining) => Ok(Some((remaining, bytes.len() - fields.0.len()))),
        Err(_) if bytes.len() < 5 => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Validates the body of a CONNECT. Sets the keep-alive that rumqttd sees to the longest one: the door itself detects
/// silent clients, and rumqttd would mistake the door's waiting for silence.
///
/// # Errors
/// The packet is malformed, has another version, or names a client id that rumqttd does not accept.
pub fn connect(body: &mut [u8]) -> Result<Connect, (Refusal, Version)> {
    let level = body.get(6).copied().unwrap_or_default();
    let version = match level {
        5 => Version::V5,
        _ => Version::V3,
    };
    if body.get(..6) != Some(b"\x00\x04MQTT") || !matches!(level, 4 | 5) {
        return Err((Refusal::Version, version));
    }
    let parsed = connect_fields(Fields(body.get(7..).unwrap_or_default()), version);
    if let Some(keep_alive) = body.get_mut(8..10) {
        keep_alive.fill(0xFF);
    }
    parsed.map_err(|refusal| (refusal, version))
}

/// Adds the Server Keep Alive to an MQTT 5 CONNACK in rumqttd's encoding, where every length is one byte.
pub fn set_server_keep_alive(connack: &mut BytesMut, seconds: u16) {
    const PROPERTY_BYTES: u8 = 3;
    let [CONNACK_FIRST, length @ ..0x70, _, _, properties @ ..0x70, ..] = connack[..] else {
        return;
    };
    connack[1] = length + PROPERTY_BYTES;
    connack[4] = properties + PROPERTY_BYTES;
    let rest = connack.split_off(5);
    connack.put_u8(0x13);
    connack.put_u16(seconds);
    connack.unsplit(rest);
}

fn connect_fields(mut fields: Fields<'_>, version: Version) -> Result<Connect, Refusal> {
    let flags = fields.byte()?;
    let (has_will, will_qos) = (flags & 0x04 != 0, flags >> 3 & 3);
    let (has_password, has_user) = (flags & 0x40 != 0, flags & 0x80 != 0);
    if flags & 1 != 0 || (!has_will && flags & 0x38 != 0) || will_qos == 3 {
        return Err(Refusal::Malformed);
    }
    if will_qos == 2 {
        return Err(Refusal::QosNotSupported);
    }
    if has_password && !has_user && version == Version::V3 {
        return Err(Refusal::Malformed);
    }
    let keep_alive = fields.u16()?;
    fields.properties(version)?;
    let client_id = fields.text()?.to_owned();
    let is_graphic = client_id.bytes().all(|byte| byte.is_ascii_graphic());
    if client_id.len() > MAX_NAME || !is_graphic || client_id.contains(['+', '$', '#', '/']) {
        return Err(Refusal::ClientId);
    }
    let mut will_topic = None;
    if has_will {
        fields.properties(version)?;
        will_topic = Some(fields.text()?.to_owned());
        fields.binary()?;
    }
    let user = has_user.then(|| fields.text()).transpose()?;
    let password = has_password.then(|| fields.binary()).transpose()?;
    fields.end()?;
    Ok(Connect {
        version,
        keep_alive,
        client_id,
        credentials: user.map(|user| (user.to_owned(), password.unwrap_or_default().to_owned())),
        will_topic,
    })
}

/// Reads the head of a PUBLISH: its topic and properties. `first` is the packet's first byte. Returns the topic, which
/// is empty if the packet uses a topic alias.
///
/// # Errors
/// The head is malformed, exceeds `head`, or requests QoS 2.
pub fn publish_topic(first: u8, head: &[u8], version: Version) -> Result<&str, Refusal> {
    let mut fields = Fields(head);
    let qos = first >> 1 & 3;
    if qos == 3 || (qos == 0 && first & 0x08 != 0) {
        return Err(Refusal::Malformed);
    }
    if qos == 2 {
        return Err(Refusal::QosNotSupported);
    }
    let topic = fields.text()?;
    if qos == 1 {
        fields.packet_id()?;
    }
    let has_alias = fields.properties(version)?;
    match topic.is_empty() && !has_alias {
        true => Err(Refusal::TopicInvalid),
        false => Ok(topic),
    }
}

/// Whether clients other than the gateway may publish to the topic. They may publish a till's events and its status;
/// only the gateway publishes acks and commands, and other topics have no use here.
pub fn is_till_topic(topic: &str) -> bool {
    const LEAVES: [&str; 4] = ["orders", "payments", "deliveries", "status"];
    let levels: Vec<&str> = topic.split('/').collect();
    let has_odd_characters = topic.contains(['+', '#']) || topic.chars().any(char::is_control);
    topic.len() <= MAX_NAME
        && !has_odd_characters
        && matches!(levels[..], ["pos", store, device, leaf]
            if !store.is_empty() && !device.is_empty() && LEAVES.contains(&leaf))
}

/// Checks that rumqttd may get the filter.
fn check_filter(filter: &str) -> Result<(), Refusal> {
    if filter.starts_with("$share/") {
        return Err(Refusal::SharedSubscriptions);
    }
    let levels: Vec<&str> = filter.split('/').collect();
    let has_wrong_wildcard = levels.iter().enumerate().any(|(index, level)| {
        (level.contains(['+', '#']) && level.len() > 1) || (*level == "#" && index + 1 < levels.len())
    });
    let is_plain = filter.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match filter.is_empty()
        || filter.len() > MAX_NAME
        || filter.starts_with('$')
        || has_wrong_wildcard
        || !is_plain
    {
        true => Err(Refusal::FilterInvalid),
        false => Ok(()),
    }
}

/// Validates the body of any packet after the CONNECT, except PUBLISH. Returns the filters of a SUBSCRIBE. Downgrades
/// QoS 2 subscriptions to QoS 1.
///
/// # Errors
/// The packet is malformed, or of a kind that clients must not send here.
pub fn control(first: u8, body: &mut [u8], version: Version) -> Result<Vec<String>, Refusal> {
    let (kind, flags) = (first >> 4, first & 0x0F);
    let wanted_flags = match kind {
        SUBSCRIBE | UNSUBSCRIBE => 2,
        _ => 0,
    };
    if flags != wanted_flags {
        return Err(Refusal::Malformed);
    }
    match kind {
        SUBSCRIBE => subscribe(body, version),
        UNSUBSCRIBE => {
            let mut fields = Fields(body);
            fields.packet_id()?;
            fields.properties(version)?;
            let mut count = 0;
            while !fields.0.is_empty() {
                check_filter(fields.text()?)?;
                count += 1;
            }
            match (1..=MAX_FILTERS).contains(&count) {
                true => Ok(Vec::new()),
                false => Err(Refusal::Protocol),
            }
        }
        PUBACK => {
            let mut fields = Fields(body);
            fields.packet_id()?;
            optional_reason(fields, version)
        }
        PINGREQ => Fields(body).end().map(|()| Vec::new()),
        DISCONNECT => optional_reason(Fields(body), version),
        _ => Err(Refusal::Protocol),
    }
}

/// MQTT 5: empty, a reason code, or a reason code and properties.
fn optional_reason(mut fields: Fields<'_>, version: Version) -> Result<Vec<String>, Refusal> {
    if version == Version::V5 && !fields.0.is_empty() {
        fields.byte()?;
        if !fields.0.is_empty() {
            fields.properties(version)?;
        }
    }
    fields.end().map(|()| Vec::new())
}

fn subscribe(body: &mut [u8], version: Version) -> Result<Vec<String>, Refusal> {
    let mut fields = Fields(body);
    fields.packet_id()?;
    fields.properties(version)?;
    let mut filters = Vec::new();
    let mut qos_2 = Vec::new();
    while !fields.0.is_empty() {
        let filter = fields.text()?;
        check_filter(filter)?;
        filters.push(filter.to_owned());
        let at = body.len() - fields.0.len();
        let options = fields.byte()?;
        let reserved = match version {
            Version::V3 => 0xFC,
            Version::V5 => 0xC0,
        };
        if options & reserved != 0 || options & 3 == 3 || options >> 4 & 3 == 3 {
            return Err(Refusal::Malformed);
        }
        if options & 3 == 2 {
            qos_2.push(at);
        }
    }
    if !(1..=MAX_FILTERS).contains(&filters.len()) {
        return Err(Refusal::Protocol);
    }
    for at in qos_2 {
        body[at] = body[at] & !3 | 1;
    }
    Ok(filters)
}

#[cfg(test)]
mod tests;
