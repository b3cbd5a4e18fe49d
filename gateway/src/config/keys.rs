//! The keys, and what is said about one that is not known or has a wrong value.

/// Every key with a value that it could have. The keys of `kafka.properties` are librdkafka's.
pub const KEYS: &[(&str, &str)] = &[
    ("store", "paris-1"),
    ("currency", "EUR"),
    ("mqtt.url", "mqtt://localhost:1883"),
    ("mqtt.embedded", "0.0.0.0:1883"),
    ("mqtt.client_id", "comptoir-paris-1"),
    ("mqtt.stores", "paris-1,lyon-2"),
    ("kafka.brokers", "kafka-1:9092,kafka-2:9092"),
    ("kafka.topic_prefix", "shops-"),
    ("kafka.replication_factor", "3"),
    ("kafka.partitions", "3"),
    ("kafka.properties", ""),
    ("journal.path", "/var/lib/comptoir/journal.db"),
    ("journal.max_bytes", "2147483648"),
    ("http.listen", "0.0.0.0:8080"),
    ("http.port_file", "/run/comptoir/port"),
    ("http.mdns", "comptoir"),
    ("http.hosts", "kasse.example.com"),
    ("http.tls_cert", "/etc/comptoir/tls/cert.pem"),
    ("http.tls_key", "/etc/comptoir/tls/key.pem"),
    ("http.password", ""),
    ("log.format", "json"),
    ("log.filter", "info,comptoir_gateway=debug"),
];

/// Longer values are cut: a sentence is to stay one.
const SHOWN: usize = 80;

/// Whether nobody may see the value. Any of librdkafka's properties may be a password.
pub fn is_secret(key: &str) -> bool {
    key == "http.password" || key.starts_with("kafka.properties")
}

/// What is wrong with a value, an example behind it: `"8080" is not a socket address; write ADDRESS:PORT, for example
/// 0.0.0.0:8080`.
pub fn sentence(key: &str, value: Option<&str>, wrong: &str) -> String {
    let value = match value {
        Some(value) if value.chars().count() > SHOWN => {
            let begin: String = value.chars().take(SHOWN).collect();
            format!("{begin:?}…")
        }
        Some(value) => format!("{value:?}"),
        None => "the value".to_owned(),
    };
    let example = KEYS.iter().find(|(name, _)| *name == key);
    let example = match example {
        // What was meant has been said.
        _ if wrong.ends_with('?') => String::new(),
        None | Some((_, "")) => String::new(),
        Some((_, example)) if wrong.contains("; write ") => format!(", for example {example}"),
        Some((_, example)) => format!("; write for example {example}"),
    };
    format!("{value} {wrong}{example}")
}

/// About a key of a file that is not known.
pub fn unknown(key: &str) -> String {
    match meant(key) {
        Some(meant) => format!("there is no such key; did you mean {meant}?"),
        None => format!("there is no such key; {}", siblings(key).join(", ")),
    }
}

/// About a variable of the environment that names no key.
pub fn unknown_variable(key: &str) -> String {
    let name = variable(key);
    match meant(key) {
        Some(meant) => format!("{name} names no key; did you mean {}?", variable(meant)),
        None => {
            let known: Vec<String> = siblings(key).into_iter().map(variable).collect();
            format!("{name} names no key; known are {}", known.join(", "))
        }
    }
}

/// The variable of a key: `COMPTOIR_HTTP__LISTEN` of `http.listen`.
pub fn variable(key: &str) -> String {
    format!("COMPTOIR_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The key or section that was meant. One of the same section where there is one, else one that is written in another
/// section, or with one underscore too few.
fn meant(key: &str) -> Option<&'static str> {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let of_section = |known: &&str| known.rsplit_once('.').map_or("", |(section, _)| section) == section;
    let leaf = |known: &'static str| known.rsplit_once('.').map_or(known, |(_, name)| name);
    let siblings = known().filter(of_section);
    let near = nearest(name, siblings.clone().map(leaf));
    near.and_then(|near| siblings.clone().find(|known| leaf(known) == near))
        .or_else(|| known().find(|known| flat(known) == flat(key)))
        .or_else(|| known().find(|known| leaf(known) == name))
        .or_else(|| nearest(key, known()))
}

fn flat(key: &str) -> String {
    key.replace(['.', '-'], "_")
}

/// Sections and keys.
fn known() -> impl Iterator<Item = &'static str> + Clone {
    let sections = ["mqtt", "kafka", "journal", "http", "log"];
    sections.into_iter().chain(KEYS.iter().map(|(key, _)| *key))
}

fn siblings(key: &str) -> Vec<&'static str> {
    let section = key.rsplit_once('.').map_or("", |(section, _)| section);
    known()
        .filter(|known| known.rsplit_once('.').map_or("", |(section, _)| section) == section)
        .collect()
}

/// The one that differs least, if it differs by no more than what one mistypes.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let name = flat(&name.to_lowercase());
    let distance = |known: &str| strsim::damerau_levenshtein(&name, &flat(known));
    let most = |known: &str| (known.len().max(name.len()) / 3).max(1);
    known
        .filter(|known| distance(known) <= most(known))
        .min_by_key(|known| distance(known))
}
