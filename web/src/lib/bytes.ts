/** A dead letter's bytes, for people: as text where they are text, and as the classic dump. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** UTF-8; what is none becomes a visible mark, and control characters their pictures, so that nothing is invisible. */
export function asText(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  // eslint-disable-next-line no-control-regex -- these are what is made visible
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)));
}

/** Sixteen bytes a line: place, hexadecimal, and what can be printed of them. */
export function asHex(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((b) => b.toString(16).padStart(2, '0')).join(' ').padEnd(47);
    const printed = row.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex}  ${printed}`);
  }
  return lines.join('\n');
}
