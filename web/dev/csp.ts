/** The real gateway's content security policy, under which the built pages must work. A browser test compares them. */
export const CSP =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'";

/** The office's content security policy, as in `gateway/office/src/pages.rs`. */
export const OFFICE_CSP =
  "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";
