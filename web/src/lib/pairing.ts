/** The short code by which a wall screen is paired. */
const CODE_LENGTH = 6;

/** Formats a typed or scanned code as `4F7-K2M`. */
export function formatCode(typed: string): string {
  const characters = typed
    .toUpperCase()
    .replace(/[^0-9A-Z]/g, '')
    .slice(0, CODE_LENGTH);
  const half = CODE_LENGTH / 2;
  return characters.length > half ? `${characters.slice(0, half)}-${characters.slice(half)}` : characters;
}

export const isCompleteCode = (code: string): boolean => code.length === CODE_LENGTH + 1;

/** Other devices cannot open an address with this host name. */
export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);

/**
 * The URL at which a wall screen shows its pairing code, derived from this page's own URL. If the page is open on the
 * gateway itself (loopback), the gateway's host name is unknown, and `name` stands in for it.
 */
export function screenAddress({ protocol, hostname, port, origin }: PageAddress, name: string): string {
  if (!isLoopback(hostname)) return `${origin}/login?screen`;
  // The same port answers plain HTTP to the gateway's own machine, but only HTTPS to other devices.
  const samePort = port === '' && protocol === 'http:' ? '80' : port;
  return `https://${name}${samePort === '' ? '' : `:${samePort}`}/login?screen`;
}

type PageAddress = Pick<Location, 'protocol' | 'hostname' | 'port' | 'origin'>;
