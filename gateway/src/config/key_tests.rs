//! Tests of errors about unknown keys and variables, and of the table of keys.

use figment::Figment;
use figment::providers::{Format, Toml};

use super::Config;
use super::environment_tests::{from_variable, load};
use super::keys::{KEYS, SECTIONS, variable};

#[test]
fn an_unknown_key_in_the_file_suggests_the_closest_known_key() {
    for (file, key, expected) in [
        ("stroe = \"x\"", "stroe", "did you mean store?"),
        ("[jurnal]\npath = \"x\"", "jurnal", "did you mean journal?"),
        (
            "[kafka]\nbroker = \"x\"",
            "kafka.broker",
            "did you mean kafka.brokers?",
        ),
        (
            "[kafka]\ntopicprefix = \"x\"",
            "kafka.topicprefix",
            "did you mean kafka.topic_prefix?",
        ),
        (
            "[kafka]\ntopic-prefix = \"x\"",
            "kafka.topic-prefix",
            "did you mean kafka.topic_prefix?",
        ),
        ("[mqtt]\nuri = \"x\"", "mqtt.uri", "did you mean mqtt.url?"),
        ("[mqtt]\nstore = \"x\"", "mqtt.store", "did you mean mqtt.stores?"),
        (
            "[journal]\nmaxbytes = 1",
            "journal.maxbytes",
            "did you mean journal.max_bytes?",
        ),
        (
            "[http]\nlistne = \"x\"",
            "http.listne",
            "did you mean http.listen?",
        ),
        ("[http]\nhost = \"x\"", "http.host", "did you mean http.hosts?"),
        ("[log]\nformt = \"x\"", "log.formt", "did you mean log.format?"),
        // Keys of other sections.
        ("listen = \"x\"", "listen", "did you mean http.listen?"),
        ("brokers = \"x\"", "brokers", "did you mean kafka.brokers?"),
        (
            "[http]\nmax_bytes = 1",
            "http.max_bytes",
            "did you mean journal.max_bytes?",
        ),
        ("[log]\nzebra = \"x\"", "log.zebra", "log.format, log.filter"),
        ("zebra = \"x\"", "zebra", "store, currency"),
    ] {
        let error = load(file, &[]).expect_err(file);
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
        assert!(error.message.starts_with("unknown key; "), "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn an_unknown_variable_suggests_the_closest_known_variable() {
    for (name, expected) in [
        ("COMPTOIR_MQTT_URL", "COMPTOIR_MQTT__URL?"),
        ("COMPTOIR_JOURNAL_MAX_BYTES", "COMPTOIR_JOURNAL__MAX_BYTES?"),
        ("COMPTOIR_KAFKA__BROKER", "COMPTOIR_KAFKA__BROKERS?"),
        ("COMPTOIR_JURNAL__PATH", "COMPTOIR_JOURNAL?"),
        ("COMPTOIR_STORES", "COMPTOIR_STORE?"),
        ("COMPTOIR_LISTEN", "COMPTOIR_HTTP__LISTEN?"),
        ("COMPTOIR_HTTP___LISTEN", "COMPTOIR_HTTP__LISTEN?"),
        (
            "COMPTOIR_LOG__ZEBRA",
            "COMPTOIR_LOG__FORMAT, COMPTOIR_LOG__FILTER",
        ),
    ] {
        let error = from_variable(name, "hunter2").expect_err(name).to_string();
        assert!(error.starts_with("the environment: "), "{error}");
        assert!(
            error.contains("is not a known variable; ") && error.ends_with(expected),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "it may be a password: {error}");
    }
    // Variables of the build, of the tests and of other programs.
    load(
        "",
        &[
            ("COMPTOIR_CACHE", "x"),
            ("COMPTOIR_WEB_DIST", "x"),
            ("OTHER", "x"),
        ],
    )
    .unwrap();
}

/// If this fails after you have added a key, add the key to [`KEYS`] too.
#[test]
fn the_table_of_keys_is_complete_and_its_examples_are_valid() {
    for (key, example) in KEYS.iter().filter(|(_, example)| !example.is_empty()) {
        // The example certificate files do not exist here.
        let result = from_variable(&variable(key), example);
        // One of these needs the mail server, too.
        let is_for_mail = ["alerts.from", "alerts.to", "alerts.quiet"].contains(key);
        assert!(
            result.is_ok() || key.starts_with("http.tls_") || is_for_mail,
            "{key}: {:?}",
            result.err()
        );
    }
    let fields = |section: &str| {
        let table = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let figment = Figment::from(Toml::string(&format!("{table}no_such_key = 1")));
        let error = figment.extract::<Config>().unwrap_err();
        match error.kind {
            figment::error::Kind::UnknownField(_, fields) => fields,
            kind => panic!("{kind}"),
        }
    };
    let mut known = Vec::new();
    for section in [""].iter().chain(&SECTIONS) {
        for field in fields(section).iter().filter(|field| !SECTIONS.contains(field)) {
            known.push(format!("{section}.{field}").trim_start_matches('.').to_owned());
        }
    }
    let mut table: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    known.sort_unstable();
    table.sort_unstable();
    assert_eq!(known, table);
}
