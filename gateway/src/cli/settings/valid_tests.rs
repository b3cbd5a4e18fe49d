//! Tests of the image's settings: which values are refused, with which message, and the output of a valid file.

use std::fs;

use tempfile::TempDir;

use super::super::file::parse;
use super::super::problem::report;
use super::*;

/// A time zone database with Paris, next to a file that is not one of its zones.
fn zoneinfo() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("zoneinfo/Europe")).unwrap();
    fs::write(folder.path().join("zoneinfo/Europe/Paris"), "").unwrap();
    fs::write(folder.path().join("outside"), "").unwrap();
    folder
}

fn read(text: &str) -> Result<Settings, Vec<Problem>> {
    let (entries, problems) = parse(text.as_bytes());
    assert_eq!(problems, [], "{text}");
    Settings::from_entries(&entries, &zoneinfo().path().join("zoneinfo"))
}

fn settings(text: &str) -> Settings {
    read(text).unwrap_or_else(|problems| panic!("{}", report("comptoir.txt", &problems)))
}

/// The report without its heading.
fn refusal(text: &str) -> String {
    let problems = read(text).err().unwrap_or_default();
    let report = report("comptoir.txt", &problems);
    let (_, lines) = report.split_once('\n').unwrap();
    lines.trim().to_owned()
}

fn users(settings: &Settings) -> Vec<(MqttUserKind, &str, Option<&str>)> {
    settings
        .mqtt_users
        .iter()
        .map(|user| (user.kind, user.name.as_str(), user.password.as_deref()))
        .collect()
}

#[test]
fn an_empty_file_gives_every_default() {
    let settings = settings("");
    assert_eq!(settings.hostname, "comptoir");
    assert_eq!(settings.timezone, "Etc/UTC");
    assert!(settings.wifi.is_none() && settings.ssh_keys.is_none());
    assert!(settings.mqtt_users.is_empty() && settings.variables().is_empty());
}

#[test]
fn the_default_store_is_the_gateway_s_own() {
    assert_eq!(DEFAULT_STORE, crate::config::Config::default().store);
}

#[test]
fn a_full_file_sets_everything() {
    let settings = settings(
        "STORE=007\nHOSTNAME=counter\nWIFI_COUNTRY=FR\nWIFI_SSID=Chez \"Zoé\"\nWIFI_PASSWORD=pass word's \"1\"\n\
         TIMEZONE=Europe/Paris\nKAFKA_BROKERS=k1:9092,k2:9092\nKAFKA_TOPIC_PREFIX=shop.\nKAFKA_SECURITY=SASL_SSL\n\
         KAFKA_MECHANISM=SCRAM-SHA-512\nKAFKA_USER=0042\nKAFKA_PASSWORD=a\\b\"c=$d#\n\
         TERMINALS=till-1 till-2:chosen-by-hand\nSIMULATOR=simulator:long-enough\nDASHBOARD_PASSWORD=0042 0042\n\
         LOG_FORMAT=json\nSSH_KEY=ssh-ed25519 AAAAC3Nz me@there\n",
    );
    assert_eq!(settings.hostname, "counter");
    assert_eq!(settings.timezone, "Europe/Paris");
    let wifi = settings.wifi.as_ref().unwrap();
    assert_eq!(
        (wifi.country.as_str(), wifi.ssid.as_str()),
        ("FR", "Chez \"Zoé\"")
    );
    assert_eq!(wifi.password.as_deref(), Some("pass word's \"1\""));
    let key = "ssh-ed25519 AAAAC3Nz me@there".to_owned();
    assert_eq!(settings.ssh_keys, Some(SshKeys::Only(key)));
    assert_eq!(
        users(&settings),
        [
            (MqttUserKind::Till, "007/till-1", None),
            (MqttUserKind::Till, "007/till-2", Some("chosen-by-hand")),
            (MqttUserKind::AnyTill, "simulator", Some("long-enough")),
        ]
    );
    let variables: Vec<String> = settings
        .variables()
        .iter()
        .map(|variable| format!("{}={}", variable.name, variable.value))
        .collect();
    assert_eq!(
        variables,
        [
            "COMPTOIR_STORE=\"007\"",
            "COMPTOIR_KAFKA__BROKERS=\"k1:9092,k2:9092\"",
            "COMPTOIR_KAFKA__TOPIC_PREFIX=\"shop.\"",
            "COMPTOIR_KAFKA__PROPERTIES__SECURITY_PROTOCOL=SASL_SSL",
            "COMPTOIR_KAFKA__PROPERTIES__SASL_MECHANISM=SCRAM-SHA-512",
            "COMPTOIR_KAFKA__PROPERTIES__SASL_USERNAME=0042",
            "COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD=a\\b\"c=$d#",
            "COMPTOIR_HTTP__PASSWORD=0042 0042",
            "COMPTOIR_LOG__FORMAT=\"json\"",
        ]
    );
}

#[test]
fn a_value_without_the_accepted_form_is_quoted_with_an_example() {
    for (line, expected) in [
        (
            "STORE=Paris 1",
            "STORE: \"Paris 1\" is not a store name; write 1 to 32 characters of a-z, 0-9 and -, not beginning \
             with -, for example paris-1",
        ),
        (
            "HOSTNAME=-x",
            "HOSTNAME: \"-x\" is not a host name; write 1 to 63 characters of a-z, 0-9 and -, not beginning or \
             ending with -, for example comptoir",
        ),
        (
            "WIFI_COUNTRY=France",
            "WIFI_COUNTRY: \"France\" is not a country code; write two capital letters, for example FR",
        ),
        (
            "TIMEZONE=Mars",
            "TIMEZONE: \"Mars\" is not a known time zone; write REGION/CITY, for example Europe/Paris",
        ),
        (
            "KAFKA_SECURITY=TLS",
            "KAFKA_SECURITY: \"TLS\" is not a security protocol; write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, \
             for example SASL_SSL",
        ),
        (
            "KAFKA_MECHANISM=MD5",
            "KAFKA_MECHANISM: \"MD5\" is not a SASL mechanism; write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, for \
             example SCRAM-SHA-512",
        ),
        (
            "LOG_FORMAT=xml",
            "LOG_FORMAT: \"xml\" is not a log format; write text or json, for example json",
        ),
        (
            "SSH_KEY=AAAA",
            "SSH_KEY: the value is not a public key; write the one line of the .pub file, for example \
             ssh-ed25519 AAAAC3Nz… me@laptop",
        ),
    ] {
        assert_eq!(refusal(line), format!("comptoir.txt, line 1: {expected}"));
    }
}

#[test]
fn no_problem_quotes_a_password() {
    for (line, secret) in [
        ("WIFI_PASSWORD=hunter2", "hunter2"),
        ("DASHBOARD_PASSWORD=hunter2", "hunter2"),
        ("TERMINALS=till-1:hunter2", "hunter2"),
        ("TERMINALS=till-1:with:colon", "with:"),
        ("SIMULATOR=simulator:with:colon", "with:"),
        ("SIMULATOR=simulator: hunter22", "hunter22"),
        ("SIMULATOR=gateway:hunter22", "hunter22"),
    ] {
        let said = refusal(line);
        let (key, _) = line.split_once('=').unwrap();
        assert!(said.contains(&format!("line 1: {key}: ")), "{line}: {said}");
        assert!(!said.contains(secret), "{line}: {said}");
    }
}

#[test]
fn a_till_with_an_error_is_named_by_its_number() {
    assert!(refusal("TERMINALS=till-1 Till_2").contains("number 2 is not a till"));
    assert!(refusal("TERMINALS=till-1:hunter2").contains("number 1 is not a till"));
}

#[test]
fn the_simulator_cannot_take_the_gateway_s_user() {
    assert!(refusal("SIMULATOR=gateway:hunter22").contains("the gateway's own"));
}

#[test]
fn a_time_zone_cannot_lead_out_of_the_database() {
    for zone in ["../outside", "Europe/../../outside", "/etc/passwd", "Europe"] {
        assert!(
            refusal(&format!("TIMEZONE={zone}")).contains("not a known time zone"),
            "{zone}"
        );
    }
}

#[test]
fn kafka_needs_a_store_and_wifi_a_country() {
    assert_eq!(
        refusal("KAFKA_BROKERS=k1:9092"),
        "comptoir.txt: STORE: missing, but needed because KAFKA_BROKERS is set; for example STORE=paris-1"
    );
    assert_eq!(
        refusal("WIFI_SSID=there"),
        "comptoir.txt: WIFI_COUNTRY: missing, but needed because WIFI_SSID is set; for example WIFI_COUNTRY=FR"
    );
}

#[test]
fn one_reading_reports_every_problem() {
    let said = refusal("STORE=Paris 1\nHOSTNAME=-x\nTIMEZONE=Mars");
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn a_network_without_a_password_is_open() {
    let wifi = settings("WIFI_COUNTRY=FR\nWIFI_SSID=Guests").wifi.unwrap();
    assert_eq!(wifi.password, None);
}

#[test]
fn a_stored_password_of_an_mqtt_user_is_not_set_again() {
    let settings = settings("STORE=a\nTERMINALS=till-1:(stored) till-2\nSIMULATOR=simulator:(stored)");
    assert_eq!(
        users(&settings),
        [
            (MqttUserKind::Till, "a/till-1", None),
            (MqttUserKind::Till, "a/till-2", None),
            (MqttUserKind::AnyTill, "simulator", None),
        ]
    );
}

#[test]
fn stored_ssh_keys_stay_as_they_are() {
    assert_eq!(settings("SSH_KEY=(stored)").ssh_keys, Some(SshKeys::Unchanged));
}

#[test]
fn tills_without_a_store_belong_to_the_default_store() {
    let settings = settings("TERMINALS=till-1");
    assert_eq!(users(&settings), [(MqttUserKind::Till, "shop-1/till-1", None)]);
}
