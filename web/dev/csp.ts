/** The content security policy of the real gateway, under which the built pages must work. A browser test compares them. */
export const CSP =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

/** That of the office, which `gateway/office/src/pages.rs` has. */
export const OFFICE_CSP =
  "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
