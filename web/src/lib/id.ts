/** Of a random id its beginning is enough to tell it from the others on a page. */
export const shortId = (id: string): string => id.replace(/^([a-z]+-[0-9a-f]{8})[0-9a-f]{24}$/, '$1');

/** An id as the gateway makes them. `crypto.randomUUID` would be shorter, but exists on HTTPS and localhost only. */
export function newId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `${prefix}-${Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')}`;
}
