import { expect, it } from 'vitest';
import { matches } from './matches';

it('a name is found by the beginning of its words, without regard to case, accents or order', () => {
  for (const words of ['', ' ', 'deco', 'DÉCO', 'se dec', 'deconnecter se'])
    expect(matches('Se déconnecter', words), words).toBe(true);
  for (const words of ['connecter', 'se x', 'déconnectera'])
    expect(matches('Se déconnecter', words), words).toBe(false);
  expect(matches('Œuvre', 'oeu')).toBe(true);
});
