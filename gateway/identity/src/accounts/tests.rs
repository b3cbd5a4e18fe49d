use serde_json::json;

use super::*;
use crate::rate::tests::distinct;
use crate::{Act, Action, ActorKind, Role, UserName};

const HERE: Attempt<'static> = Attempt {
    address: None,
    agent: Some("a test"),
};

async fn accounts() -> (tempfile::TempDir, Accounts) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts::new(&folder.path().join("accounts.db"), "paris-1");
    (folder, accounts)
}

fn password() -> Secret {
    Secret::new("a long password")
}

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

#[tokio::test]
async fn the_code_makes_one_administrator_and_is_then_forgotten() {
    let (folder, accounts) = accounts().await;
    let code = accounts.setup_code().await.unwrap().unwrap();
    let file = folder.path().join("setup-code");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), code);
    assert_eq!(accounts.setup_code().await.unwrap(), Some(code.clone()));
    let signed_in = accounts
        .set_up(HERE, &Secret::new(&*code), "Zoé", &password())
        .await
        .unwrap();
    assert_eq!(signed_in.principal.role, Role::Administrator);
    assert!(!file.exists());
    assert_eq!(accounts.setup_code().await.unwrap(), None);
    let again = accounts
        .set_up(HERE, &Secret::new(&*code), "Max", &password())
        .await;
    assert!(matches!(again, Err(Error::AlreadySetUp)), "{again:?}");
}

#[tokio::test]
async fn the_file_is_for_its_owner_only_and_holds_no_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, accounts) = accounts().await;
    let (_, token) = accounts.add_token("a program", Role::Viewer, None).await.unwrap();
    accounts
        .add_user(&name("marie"), Role::Cashier, &password())
        .await
        .unwrap();
    accounts.close().await;
    let mut found = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{file:?}"
        );
        let bytes = std::fs::read(file.path()).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has(token.reveal()) && !has("a long password"), "{file:?}");
        found += usize::from(has("marie"));
    }
    assert!(found > 0, "the search finds what is there");
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (_folder, accounts) = accounts().await;
    accounts
        .add_user(&name("marie"), Role::Administrator, &password())
        .await
        .unwrap();
    let removed = accounts.remove_user(&name("Marie")).await;
    assert!(matches!(removed, Err(Error::LastAdministrator)), "{removed:?}");
    let demoted = accounts.set_role(&name("marie"), Role::Viewer).await;
    assert!(matches!(demoted, Err(Error::LastAdministrator)), "{demoted:?}");
    accounts
        .add_user(&name("paul"), Role::Administrator, &password())
        .await
        .unwrap();
    accounts.set_role(&name("marie"), Role::Viewer).await.unwrap();
    accounts.remove_user(&name("marie")).await.unwrap();
}

#[tokio::test]
async fn a_new_password_and_a_removed_user_end_the_sessions() {
    let (_folder, accounts) = accounts().await;
    accounts
        .add_user(&name("marie"), Role::Cashier, &password())
        .await
        .unwrap();
    let session = async || accounts.sign_in(HERE, "MARIE", &password()).await.unwrap();
    let is_valid = async |of: &SignedIn| {
        accounts
            .authenticate(HERE, of.secret.reveal())
            .await
            .unwrap()
            .is_some()
    };
    let (kept, other) = (session().await, session().await);
    let new = Secret::new("another password");
    accounts
        .change_password(HERE, &kept.principal, &password(), &new)
        .await
        .unwrap();
    assert!(is_valid(&kept).await && !is_valid(&other).await);
    accounts.remove_user(&name("marie")).await.unwrap();
    assert!(!is_valid(&kept).await);
}

#[tokio::test]
async fn a_damaged_file_is_put_aside_and_the_gateway_asks_for_set_up() {
    let (folder, accounts) = accounts().await;
    let path = folder.path().join("accounts.db");
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    assert!(!accounts.is_set_up().await.unwrap());
    let aside = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<String> = aside
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.contains("damaged")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_may_be_opened_by_the_gateway_and_a_command_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let opens = (0..4).map(|_| {
            let accounts = Accounts::new(&folder.path().join("accounts.db"), "paris-1");
            tokio::spawn(async move { accounts.users().await.map(|users| users.len()) })
        });
        for open in opens.collect::<Vec<_>>() {
            assert_eq!(open.await.unwrap().unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn the_audit_log_is_only_added_to_and_guesses_do_not_fill_it() {
    let (folder, accounts) = accounts().await;
    let act = Act::of_command_line(Action::UserAdded).on("marie");
    accounts
        .audit(act.from_to(None, Some(json!({"role": "cashier"}))))
        .await
        .unwrap();
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        let address = Some(address.parse().unwrap());
        accounts
            .audit(Act::of(None, address, Action::SignInFailed))
            .await
            .unwrap();
    }
    let entries = accounts.audit_entries(None, 10).await.unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        ["sign-in-failed", "sign-in-failed", "user-added", "chain-started"]
    );
    assert_eq!(entries[2].actor_kind, ActorKind::System);
    assert_eq!(entries[2].after, Some(json!({"role": "cashier"})));
    assert_eq!(
        accounts.audit_entries(Some(entries[1].id), 10).await.unwrap(),
        entries[2..]
    );
    let url = format!("sqlite://{}", folder.path().join("accounts.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    for statement in ["DELETE FROM audit", "UPDATE audit SET actor = 'me'"] {
        let changed = sqlx::query(statement).execute(&pool).await;
        assert!(changed.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn the_case_of_a_users_name_does_not_matter_in_any_alphabet() {
    let (_folder, accounts) = accounts().await;
    for user in ["caisse 1", "Élodie", "Ζωή"] {
        accounts
            .add_user(&name(user), Role::Cashier, &password())
            .await
            .unwrap();
    }
    for (typed, stored) in [
        ("CAISSE 1", "caisse 1"),
        ("élodie", "Élodie"),
        ("ÉLODIE", "Élodie"),
        ("ζωή", "Ζωή"),
    ] {
        let signed_in = accounts.sign_in(HERE, typed, &password()).await.unwrap();
        assert_eq!(signed_in.principal.name, stored, "{typed}");
        let again = accounts.add_user(&name(typed), Role::Viewer, &password()).await;
        assert!(matches!(again, Err(Error::UserExists)), "{typed}: {again:?}");
    }
    accounts.set_role(&name("ÉLODIE"), Role::Manager).await.unwrap();
    assert_eq!(accounts.user(&name("élodie")).await.unwrap().role, Role::Manager);
    let new = Secret::new("another password");
    accounts.set_password(&name("ÉLODIE"), &new, None).await.unwrap();
    let sessions = accounts.user(&name("Élodie")).await.unwrap().sessions;
    assert_eq!(sessions, 0, "the sessions of the old password have ended");
    accounts.remove_user(&name("ÉLODIE")).await.unwrap();
    let gone = accounts.sign_in(HERE, "Élodie", &new).await;
    assert!(matches!(gone, Err(Error::WrongPassword)), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_begin_at_the_same_moment_end_the_idle_ones_and_all_begin() {
    const SESSIONS: u64 = 20;
    let (_folder, accounts) = accounts().await;
    let marie = name("marie");
    accounts
        .add_user(&marie, Role::Cashier, &password())
        .await
        .unwrap();
    let begin = || {
        let (accounts, marie) = (accounts.clone(), marie.clone());
        tokio::spawn(async move { accounts.begin_session(HERE, marie, Role::Cashier).await })
    };
    let all: Vec<_> = (0..100).map(|_| begin()).collect();
    for session in all {
        session.await.unwrap().unwrap();
    }
    assert_eq!(accounts.user(&marie).await.unwrap().sessions, SESSIONS);
}

#[tokio::test]
async fn guesses_from_elsewhere_keep_no_user_out_who_knows_the_password() {
    let (_folder, accounts) = accounts().await;
    accounts
        .add_user(&name("marie"), Role::Cashier, &password())
        .await
        .unwrap();
    let addresses: [IpAddr; 7] = distinct(&accounts.0.passwords.limits.networks);
    let [owner, attackers @ ..] = addresses.map(|address| Attempt {
        address: Some(address),
        agent: None,
    });
    let wrong = Secret::new("guessed");
    // More than the account's limit.
    for attacker in attackers {
        for _ in 0..2 {
            let guess = accounts.sign_in(attacker, "marie", &wrong).await;
            assert!(matches!(guess, Err(Error::WrongPassword)), "{guess:?}");
        }
    }
    // She mistypes it too.
    let typo = accounts.sign_in(owner, "marie", &wrong).await;
    assert!(matches!(typo, Err(Error::WrongPassword)), "{typo:?}");
    accounts.sign_in(owner, "marie", &password()).await.unwrap();
    // An address that keeps guessing is limited with the account.
    let guesses = async || accounts.sign_in(attackers[0], "marie", &wrong).await;
    assert!(matches!(guesses().await, Err(Error::WrongPassword)));
    let limited = guesses().await;
    assert!(
        matches!(limited, Err(Error::TooManyAttempts { .. })),
        "{limited:?}"
    );
}

#[tokio::test]
async fn right_passwords_are_limited_for_each_user_whatever_addresses_they_come_from() {
    let (_folder, accounts) = accounts().await;
    for user in ["marie", "paul"] {
        accounts
            .add_user(&name(user), Role::Cashier, &password())
            .await
            .unwrap();
    }
    let addresses: [IpAddr; 100] = distinct(&accounts.0.passwords.limits.networks);
    let mut refused = None;
    for address in addresses {
        let from = Attempt {
            address: Some(address),
            agent: None,
        };
        if let Err(error) = accounts.sign_in(from, "marie", &password()).await {
            refused = Some(error);
            break;
        }
    }
    assert!(
        matches!(refused, Some(Error::TooManyAttempts { .. })),
        "{refused:?}"
    );
    accounts.sign_in(HERE, "paul", &password()).await.unwrap();
}
