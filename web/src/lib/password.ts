/** Length makes a password hard to guess, so the hint is about length. */
import { MIN_PASSWORD_LENGTH } from './api/identity';

export type Strength = 'short' | 'fair' | 'good' | 'strong';

const GOOD_LENGTH = 14;
const STRONG_LENGTH = 20;

export const lengthOf = (password: string): number => [...password].length;

export function strengthOf(password: string): Strength {
  const length = lengthOf(password);
  if (length < MIN_PASSWORD_LENGTH) return 'short';
  // A password of at most three different characters may be long, but is easy to guess.
  const isUniform = new Set(password).size <= 3;
  if (length < GOOD_LENGTH || isUniform) return 'fair';
  return length < STRONG_LENGTH ? 'good' : 'strong';
}
