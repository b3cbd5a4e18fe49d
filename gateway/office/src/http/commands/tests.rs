//! To whom commands may go. Which roles may send any is in [`crate::http::ROUTES`].

use std::sync::Arc;

use comptoir_identity::Role;

use super::*;

#[test]
fn a_command_goes_only_to_shops_that_its_sender_may_see() {
    for (shops, to, is_allowed) in [
        (["lyon-2"], "paris-1", false),
        (["lyon-2"], "paris-1/till-1", false),
        (["lyon-2"], "*", false),
        (["lyon-2"], "lyon-2/till-1", true),
        (["*"], "*", true),
        (["*"], "paris-1", true),
    ] {
        let visible = shops.iter().map(|store| (*store).to_owned()).collect();
        let caller = Caller {
            name: Arc::from("Zoé"),
            credential: None,
            role: Role::Manager,
            shops: match shops {
                ["*"] => VisibleShops::All,
                _ => VisibleShops::Some(Arc::new(visible)),
            },
        };
        let body = format!(r#"{{"to":"{to}","command":{{"type":"message","text":"a"}}}}"#);
        let refusal = refuse_target(&caller, &parse(body.as_bytes()).unwrap());
        let status = refusal.map(|response| response.status());
        let expected = (!is_allowed).then_some(StatusCode::FORBIDDEN);
        assert_eq!(status, expected, "{shops:?} to {to}");
    }
}
