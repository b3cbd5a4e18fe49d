import { expect, it } from 'vitest';
import { formatCode, isCompleteCode, isLoopback, screenAddress } from './pairing';

it.each([
  ['4f7k2m', '4F7-K2M'],
  [' 4F7 - K2M ', '4F7-K2M'],
  ['4f7k', '4F7-K'],
  ['4f7-', '4F7'],
  ['4F7-K2M-9', '4F7-K2M'],
])('%j is the code %j', (typed, code) => {
  expect(formatCode(typed)).toBe(code);
});

it('knows a complete code', () => {
  expect([isCompleteCode('4F7-K2M'), isCompleteCode('4F7-K2')]).toEqual([true, false]);
});

it.each([
  ['localhost', true],
  ['127.0.0.1', true],
  ['[::1]', true],
  ['comptoir.local', false],
  ['192.168.1.20', false],
])('%s is loopback: %s', (name, expected) => {
  expect(isLoopback(name)).toBe(expected);
});

it.each([
  ['https://comptoir.local:8443/setup', 'https://comptoir.local:8443/login?screen'],
  ['https://192.168.1.20/setup', 'https://192.168.1.20/login?screen'],
  ['http://localhost:8080/setup', 'https://GATEWAY:8080/login?screen'],
  ['http://127.0.0.1/setup', 'https://GATEWAY:80/login?screen'],
  ['https://localhost/setup', 'https://GATEWAY/login?screen'],
])('with set-up open at %s, the screen’s address is %s', (page, expected) => {
  expect(screenAddress(new URL(page), 'GATEWAY')).toBe(expected);
});
