/** The short code by which a wall screen is paired. */
const CODE_LENGTH = 6;

/** What somebody typed or scanned, in the form `4F7-K2M`. */
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
 * The address at which a wall screen shows its pairing code, as far as this page's own address tells it. `name` stands
 * for a host name that is not known: a page that is open on the gateway itself may have any.
 */
export function screenAddress({ protocol, hostname, port, origin }: PageAddress, name: string): string {
  if (!isLoopback(hostname)) return `${origin}/login?screen`;
  // The same port answers plain HTTP on the gateway itself, and HTTPS only elsewhere.
  const samePort = port === '' && protocol === 'http:' ? '80' : port;
  return `https://${name}${samePort === '' ? '' : `:${samePort}`}/login?screen`;
}

type PageAddress = Pick<Location, 'protocol' | 'hostname' | 'port' | 'origin'>;
