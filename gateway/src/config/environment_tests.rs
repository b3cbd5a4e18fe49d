//! What people write into variables and files, and what they are told about it.

use figment::Figment;
use figment::providers::{Format, Toml};

use super::keys::{KEYS, variable};
use super::sources::{Environment, OneForm};
use super::{Config, ConfigError, LogFormat, Secret};

fn with(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables
        .iter()
        .map(|(name, text)| (name.into(), text.into()))
        .collect();
    let figment = Figment::from(OneForm(Toml::string(file))).merge(OneForm(Environment(variables)));
    Config::from_figment(figment)
}

fn by_variable(name: &str, text: &str) -> Result<Config, ConfigError> {
    with("", &[(name, text)])
}

fn property<'c>(config: &'c Config, name: &str) -> Option<&'c str> {
    config.kafka.properties.get(name).map(Secret::reveal)
}

#[test]
fn every_list_in_a_variable_is_separated_by_commas_or_json() {
    type List = fn(&Config) -> Vec<String>;
    let lists: [(&str, List); 3] = [
        ("mqtt.stores", |config| {
            config.mqtt.stores.clone().unwrap_or_default()
        }),
        ("http.hosts", |config| config.http.hosts.clone()),
        ("kafka.brokers", |config| {
            let brokers = config.kafka.brokers.as_deref().unwrap_or_default();
            brokers.split(',').map(str::to_owned).collect()
        }),
    ];
    for (key, list) in lists {
        for (text, expected) in [
            ("paris-1", vec!["paris-1"]),
            ("paris-1,lyon-2", vec!["paris-1", "lyon-2"]),
            (" paris-1 , lyon-2 ,", vec!["paris-1", "lyon-2"]),
            (r#"["paris-1","lyon-2"]"#, vec!["paris-1", "lyon-2"]),
            (r#"[ "paris-1" ]"#, vec!["paris-1"]),
            ("[paris-1, lyon-2]", vec!["paris-1", "lyon-2"]),
            (r#""paris-1,lyon-2""#, vec!["paris-1", "lyon-2"]),
            // Numbers to anybody who reads values without their types.
            ("007", vec!["007"]),
            ("1e5,0330", vec!["1e5", "0330"]),
            (r#"["007"]"#, vec!["007"]),
            ("true,null", vec!["true", "null"]),
        ] {
            let config = by_variable(&variable(key), text);
            let config = config.unwrap_or_else(|error| panic!("{key} {text}: {error}"));
            assert_eq!(list(&config), expected, "{key} {text}");
        }
        let over_the_file = r#"
            [mqtt]
            stores = ["a", "b", "c"]
            [kafka]
            brokers = ["a:1", "b:2"]
            [http]
            hosts = ["a", "b", "c"]
        "#;
        let config = with(over_the_file, &[(&variable(key), "d")]).unwrap();
        assert_eq!(list(&config), ["d"], "{key}");
    }
    assert_eq!(
        by_variable("COMPTOIR_HTTP__HOSTS", "").unwrap().http.hosts,
        [""; 0]
    );
    assert_eq!(
        by_variable("COMPTOIR_HTTP__HOSTS", "[]").unwrap().http.hosts,
        [""; 0]
    );
    for key in ["mqtt.stores", "kafka.brokers"] {
        for empty in ["", " ", ",", "[]"] {
            let error = by_variable(&variable(key), empty).unwrap_err().to_string();
            let begin = format!("the environment: {key}: empty; leave it out");
            assert!(error.starts_with(&begin), "{empty:?}: {error}");
        }
    }
}

#[test]
fn a_text_in_a_variable_arrives_as_it_was_written() {
    for text in [
        "007", "1e5", "12345", "true", "false", "null", "1.50", "0x10", "+5", "-0", "1_000", "inf", "nan",
        "{a}", "[x]", "a,b", "'q'", "a=b",
    ] {
        let config = by_variable("COMPTOIR_HTTP__PASSWORD", text).unwrap();
        assert_eq!(config.http.password.as_ref().map(Secret::reveal), Some(text));
        let config = by_variable("COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD", text).unwrap();
        assert_eq!(property(&config, "sasl.password"), Some(text));
        let config = by_variable("COMPTOIR_JOURNAL__PATH", text).unwrap();
        assert_eq!(config.journal.path.to_str(), Some(text));
        let config = by_variable("COMPTOIR_MQTT__CLIENT_ID", text).unwrap();
        assert_eq!(config.mqtt.client_id.as_deref(), Some(text));
    }
    // Passwords with what other values are cleaned of.
    for text in [" ", " x ", "\"x\"", "\"", "x\n"] {
        let config = by_variable("COMPTOIR_HTTP__PASSWORD", text).unwrap();
        assert_eq!(config.http.password.as_ref().map(Secret::reveal), Some(text));
        let config = by_variable("COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD", text).unwrap();
        assert_eq!(property(&config, "sasl.password"), Some(text));
    }
    for text in ["007", "1e5", "0330", "true", "2024"] {
        assert_eq!(by_variable("COMPTOIR_STORE", text).unwrap().store, text);
        assert_eq!(by_variable("COMPTOIR_HTTP__MDNS", text).unwrap().http.mdns, text);
        let config = by_variable("COMPTOIR_KAFKA__TOPIC_PREFIX", text).unwrap();
        assert_eq!(config.kafka.topic_prefix, text);
    }
}

#[test]
fn what_files_of_variables_leave_around_a_value_is_no_part_of_it() {
    for around in ["{}", " {} ", "\"{}\"", "{}\r", "{}\n"] {
        let write = |value: &str| around.replace("{}", value);
        assert_eq!(
            by_variable("COMPTOIR_STORE", &write("paris-1")).unwrap().store,
            "paris-1"
        );
        let config = by_variable("comptoir_http__listen", &write("[::]:80")).unwrap();
        assert_eq!(config.http.listen, "[::]:80".parse().unwrap());
        let config = by_variable("COMPTOIR_JOURNAL__MAX_BYTES", &write("2000000")).unwrap();
        assert_eq!(config.journal.max_bytes, 2_000_000);
        let config = by_variable("COMPTOIR_KAFKA__PARTITIONS", &write("6")).unwrap();
        assert_eq!(config.kafka.partitions, Some(6));
        let config = by_variable("COMPTOIR_LOG__FORMAT", &write("json")).unwrap();
        assert_eq!(config.log.format, LogFormat::Json);
        let config = by_variable("COMPTOIR_CURRENCY", &write("TND")).unwrap();
        assert_eq!(config.currency.code(), "TND");
    }
}

#[test]
fn a_name_that_looks_like_a_number_is_a_name_in_a_file_too() {
    let config = with("store = 330\n[mqtt]\nstores = [330, 7]\nclient_id = 7", &[]).unwrap();
    assert_eq!(config.store, "330");
    assert_eq!(config.mqtt.stores.unwrap(), ["330", "7"]);
    // What TOML has made of these is not what was written.
    for store in ["1e5", "true", "2024-01-01"] {
        let error = with(&format!("store = {store}"), &[]).unwrap_err().to_string();
        assert!(
            error.contains("store: ") && error.contains("quotation marks"),
            "{error}"
        );
    }
}

/// Each with the key, what was written and an example; from a file and from a variable.
#[test]
fn a_wrong_value_is_named_with_its_key_and_an_example() {
    for (key, text, expected) in [
        (
            "http.listen",
            "8080",
            r#""8080" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:8080"#,
        ),
        (
            "http.listen",
            "localhost:8080",
            r#""localhost:8080" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:8080"#,
        ),
        (
            "http.listen",
            ":8080",
            r#"":8080" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:8080"#,
        ),
        (
            "mqtt.embedded",
            "true",
            r#""true" is not a socket address; write ADDRESS:PORT, for example 0.0.0.0:1883"#,
        ),
        (
            "mqtt.url",
            "localhost:1883",
            r#""localhost:1883" is not an MQTT broker's URL (it begins with no mqtt://); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883"#,
        ),
        (
            "mqtt.url",
            "http://broker",
            r#""http://broker" is not an MQTT broker's URL (its scheme is http); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883"#,
        ),
        (
            "mqtt.url",
            "mqtt://till:hunter2@broker:99999",
            r#""mqtt://…@broker:99999" is not an MQTT broker's URL (invalid port number); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883"#,
        ),
        (
            "mqtt.url",
            "mqtt://till:hunter2",
            "the value is not an MQTT broker's URL (invalid port number); write mqtt://HOST:PORT or mqtts://HOST:PORT, for example mqtt://localhost:1883",
        ),
        (
            "kafka.brokers",
            "kafka:port",
            r#""kafka:port" is not a list of brokers ("kafka:port" is not HOST:PORT); write HOST:PORT,HOST:PORT, for example kafka-1:9092,kafka-2:9092"#,
        ),
        (
            "kafka.brokers",
            "a:9092,http://b:9092",
            r#""a:9092,http://b:9092" is not a list of brokers ("http://b:9092" is not HOST:PORT); write HOST:PORT,HOST:PORT, for example kafka-1:9092,kafka-2:9092"#,
        ),
        (
            "store",
            "Paris 1",
            r#""Paris 1" is not a store's name; write 1 to 32 of a-z, 0-9 and '-', the first not '-', for example paris-1"#,
        ),
        (
            "currency",
            "euro",
            r#""euro" is not a currency; write its ISO 4217 code, for example EUR"#,
        ),
        (
            "http.mdns",
            "kasse.local",
            r#""kasse.local" is not a name to announce; write a-z, 0-9 and '-' without .local, or nothing to announce none, for example comptoir"#,
        ),
        (
            "journal.path",
            "",
            r#""" is not the path of a file; write for example /var/lib/comptoir/journal.db"#,
        ),
        (
            "journal.path",
            "/data/",
            r#""/data/" is not the path of a file; write for example /var/lib/comptoir/journal.db"#,
        ),
        (
            "kafka.topic_prefix",
            "a/b",
            r#""a/b" is not the beginning of a topic's name; write a-z, A-Z, 0-9, '.', '_' and '-', for example shops-"#,
        ),
        (
            "log.format",
            "jsno",
            r#""jsno" is not text or json; did you mean json?"#,
        ),
        (
            "log.format",
            "xml",
            r#""xml" is not text or json; write for example json"#,
        ),
        (
            "log.filter",
            "warning",
            r#""warning" has no level "warning"; did you mean warn?"#,
        ),
        (
            "log.filter",
            "inof,rumqttd=off",
            r#""inof,rumqttd=off" has no level "inof"; did you mean info?"#,
        ),
        (
            "log.filter",
            "verbose",
            r#""verbose" has no level "verbose"; did you mean debug?"#,
        ),
        (
            "log.filter",
            "comptoir_gateway=loud",
            r#""comptoir_gateway=loud" is not a log filter; write LEVEL or LEVEL,TARGET=LEVEL with off, error, warn, info, debug, trace, for example info,comptoir_gateway=debug"#,
        ),
    ] {
        let error = by_variable(&variable(key), text).expect_err(text);
        assert_eq!(error.to_string(), format!("the environment: {key}: {expected}"));
        let (section, name) = key.split_once('.').unwrap_or(("", key));
        let section = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]\n")
        };
        let error = with(&format!("{section}{name} = {text:?}"), &[]).expect_err(text);
        assert_eq!(error.key.as_deref(), Some(key));
        assert_eq!(error.message, expected);
    }
}

#[test]
fn a_wrong_number_is_named_with_its_range_and_an_example() {
    for (key, text, expected) in [
        (
            "journal.max_bytes",
            "2 GB",
            "is not a whole number from 0 to 18446744073709551615; write for example 2147483648",
        ),
        (
            "journal.max_bytes",
            "-1",
            "is not a whole number from 0 to 18446744073709551615; write for example 2147483648",
        ),
        ("journal.max_bytes", "1.5", "is not a whole number from"),
        (
            "journal.max_bytes",
            "10",
            "is too small; write 1048576 or more, for example 2147483648",
        ),
        (
            "kafka.partitions",
            "three",
            "is not a whole number from -2147483648 to 2147483647; write for example 3",
        ),
        ("kafka.partitions", "99999999999", "is not a whole number from"),
        (
            "kafka.partitions",
            "0",
            "is not a number of partitions; write 1 or more, for example 3",
        ),
        ("kafka.partitions", "", "is not a whole number from"),
        (
            "kafka.replication_factor",
            "0",
            "is not a replication factor; write 1 or more",
        ),
    ] {
        let error = by_variable(&variable(key), text).expect_err(text).to_string();
        let expected = format!("the environment: {key}: {text:?} {expected}");
        assert!(error.starts_with(&expected), "{error}\n{expected}");
    }
    let error = with("[journal]\nmax_bytes = \"big\"", &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(r#"journal.max_bytes: "big" is not a whole number"#),
        "{error}"
    );
}

#[test]
fn a_list_with_a_wrong_item_names_the_item() {
    for (key, text, expected) in [
        ("mqtt.stores", "paris-1,Lyon", r#""Lyon" is not a store's name"#),
        (
            "http.hosts",
            "kasse.example,kasse.example:8080",
            r#""kasse.example:8080" is not a host name"#,
        ),
        (
            "http.hosts",
            "https://kasse.example",
            r#""https://kasse.example" is not a host name"#,
        ),
        (
            "mqtt.stores",
            r#"["paris-1""#,
            r#""[\"paris-1\"" is not a list; write a,b or JSON, for example"#,
        ),
    ] {
        let error = by_variable(&variable(key), text).expect_err(text).to_string();
        assert!(
            error.starts_with(&format!("the environment: {key}: {expected}")),
            "{error}"
        );
    }
    let error = with("[mqtt]\nstores = \"paris-1\"", &[]).unwrap_err().message;
    assert!(
        error.starts_with(r#""paris-1" is not a list; write its items in brackets"#),
        "{error}"
    );
}

#[test]
fn brokers_are_taken_as_librdkafka_takes_them() {
    for brokers in [
        "kafka",
        "kafka:9092",
        "kafka_1:9092,kafka-2.example:9093",
        "192.168.1.5:9092",
        "[fd00::1]:9092",
        "[fd00::1]",
        "SASL_SSL://kafka:9093",
        "ssl://kafka",
    ] {
        let config =
            by_variable("COMPTOIR_KAFKA__BROKERS", brokers).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.kafka.brokers.as_deref(), Some(brokers));
    }
    for wrong in [
        "kafka:",
        "kafka:0",
        "kafka:99999",
        "a b:9092",
        "kafka:9092;b:9092",
        "mqtt://kafka",
        "[fd00::1:9092",
    ] {
        assert!(by_variable("COMPTOIR_KAFKA__BROKERS", wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_unknown_key_of_a_file_suggests_the_nearest() {
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
        // Of another section.
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
        let error = with(file, &[]).expect_err(file);
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
        assert!(error.message.starts_with("there is no such key; "), "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn an_unknown_variable_suggests_the_nearest() {
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
        let error = by_variable(name, "hunter2").expect_err(name).to_string();
        assert!(error.starts_with("the environment: "), "{error}");
        assert!(
            error.contains("names no key; ") && error.ends_with(expected),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "it may be a password: {error}");
    }
    // The build's own.
    with(
        "",
        &[
            ("COMPTOIR_CACHE", "x"),
            ("COMPTOIR_WEB_DIST", "x"),
            ("OTHER", "x"),
        ],
    )
    .unwrap();
}

#[test]
fn a_section_that_is_given_a_value_is_named() {
    for variables in [
        &[("COMPTOIR_MQTT", "mqtt://x")][..],
        &[("COMPTOIR_MQTT__URL", "mqtt://x"), ("COMPTOIR_MQTT", "mqtt://x")],
    ] {
        let error = with("", variables).unwrap_err().to_string();
        assert_eq!(error, r#"the environment: mqtt: "mqtt://x" is not a section"#);
    }
}

/// A new key must also be added to the table; this test names the missing one.
#[test]
fn every_key_is_known_and_its_example_is_taken() {
    for (key, example) in KEYS.iter().filter(|(_, example)| !example.is_empty()) {
        // A certificate is looked for where it says.
        let result = by_variable(&variable(key), example);
        assert!(
            result.is_ok() || key.starts_with("http.tls_"),
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
    let sections = ["mqtt", "kafka", "journal", "http", "log"];
    let mut known = Vec::new();
    for section in [""].iter().chain(&sections) {
        for field in fields(section).iter().filter(|field| !sections.contains(field)) {
            known.push(format!("{section}.{field}").trim_start_matches('.').to_owned());
        }
    }
    let mut table: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    known.sort_unstable();
    table.sort_unstable();
    assert_eq!(known, table);
}
