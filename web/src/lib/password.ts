/** Length is what makes a password hard to guess, so it is what the hint is about. */
import { MIN_PASSWORD_LENGTH } from './api/identity';

export type Strength = 'short' | 'fair' | 'good' | 'strong';

const GOOD_LENGTH = 14;
const STRONG_LENGTH = 20;

export const lengthOf = (password: string): number => [...password].length;

export function strengthOf(password: string): Strength {
  const length = lengthOf(password);
  if (length < MIN_PASSWORD_LENGTH) return 'short';
  // A repeated character or two are long, but guessed early.
  const isUniform = new Set(password).size <= 3;
  if (length < GOOD_LENGTH || isUniform) return 'fair';
  return length < STRONG_LENGTH ? 'good' : 'strong';
}
