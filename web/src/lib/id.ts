/** The first characters of a random id are enough to tell it from the others on a page. */
export const shortenId = (id: string): string => id.replace(/^([a-z]+-[0-9a-f]{8})[0-9a-f]{24}$/, '$1');

/** An id in the gateway's format. `crypto.randomUUID` exists only on HTTPS and localhost, so it cannot be used. */
export function newId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `${prefix}-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
