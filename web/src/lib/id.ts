/** An id as the gateway makes them. `crypto.randomUUID` would be shorter, but exists on HTTPS and localhost only. */
export function newId(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `${prefix}-${Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')}`;
}
