//! What each route requires. A route that is missing here requires an administrator, so that none is open by mistake.

use axum::http::Method;
use comptoir_identity::Role;

/// The access that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Answers before there is an administrator, too.
    Probe,
    /// Nobody need be signed in.
    Public,
    /// A page: leads to the sign-in page if nobody is signed in.
    Page,
    Role(Role),
}

/// A method and a path, as the router names it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub requires: Requirement,
}

const fn route(method: &'static str, path: &'static str, requires: Requirement) -> Route {
    Route {
        method,
        path,
        requires,
    }
}

const VIEWER: Requirement = Requirement::Role(Role::Viewer);
const MANAGER: Requirement = Requirement::Role(Role::Manager);
const ADMINISTRATOR: Requirement = Requirement::Role(Role::Administrator);

/// Every route of the office.
pub const ROUTES: &[Route] = &[
    route("GET", "/", Requirement::Page),
    route("GET", "/sales", Requirement::Page),
    route("GET", "/compare", Requirement::Page),
    route("GET", "/shops/{store}", Requirement::Page),
    route("GET", "/commands", Requirement::Page),
    route("GET", "/account", Requirement::Page),
    route("GET", "/users", Requirement::Page),
    route("GET", "/audit", Requirement::Page),
    route("GET", "/login", Requirement::Public),
    route("GET", "/login/oidc", Requirement::Public),
    route("GET", "/login/oidc/callback", Requirement::Public),
    route("GET", "/assets/{name}", Requirement::Public),
    route("GET", "/healthz", Requirement::Probe),
    route("GET", "/readyz", Requirement::Probe),
    route("GET", "/metrics", VIEWER),
    route("GET", "/api/session", Requirement::Public),
    route("POST", "/api/session", Requirement::Public),
    route("DELETE", "/api/session", Requirement::Public),
    route("PUT", "/api/session/password", VIEWER),
    route("GET", "/api/sessions", VIEWER),
    route("DELETE", "/api/sessions/{id}", VIEWER),
    route("GET", "/api/users", ADMINISTRATOR),
    route("POST", "/api/users", ADMINISTRATOR),
    route("PATCH", "/api/users/{name}", ADMINISTRATOR),
    route("DELETE", "/api/users/{name}", ADMINISTRATOR),
    route("GET", "/api/tokens", ADMINISTRATOR),
    route("POST", "/api/tokens", ADMINISTRATOR),
    route("DELETE", "/api/tokens/{id}", ADMINISTRATOR),
    route("GET", "/api/audit", ADMINISTRATOR),
    route("GET", "/api/shops", VIEWER),
    route("GET", "/api/shops/{store}/stats", VIEWER),
    route("GET", "/api/comparison", VIEWER),
    route("GET", "/api/commands", MANAGER),
    route("POST", "/api/commands", MANAGER),
    route("GET", "/api/commands/{id}", MANAGER),
    route("GET", "/api/commands/targets", MANAGER),
    route("GET", "/api/sales", VIEWER),
    route("GET", "/api/sales.csv", VIEWER),
];

/// The requirement of a request. `path`: as the router names it.
pub fn requirement(method: &Method, path: &str) -> Requirement {
    // axum answers HEAD with the GET handler.
    let method = match *method {
        Method::HEAD => "GET",
        _ => method.as_str(),
    };
    let found = ROUTES
        .iter()
        .find(|route| route.method == method && route.path == path);
    found.map_or(ADMINISTRATOR, |route| route.requires)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_is_not_listed_requires_an_administrator() {
        assert_eq!(requirement(&Method::HEAD, "/api/shops"), VIEWER);
        assert_eq!(requirement(&Method::POST, "/api/shops"), ADMINISTRATOR);
        assert_eq!(requirement(&Method::GET, "/api/nothing"), ADMINISTRATOR);
    }

    #[test]
    fn only_an_administrator_manages_accounts() {
        let managed = ["/api/users", "/api/tokens", "/api/audit"];
        for route in ROUTES {
            if managed.iter().any(|path| route.path.starts_with(path)) {
                assert_eq!(route.requires, ADMINISTRATOR, "{} {}", route.method, route.path);
            }
        }
    }
}
