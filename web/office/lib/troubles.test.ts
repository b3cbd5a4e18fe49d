import { describe, expect, it } from 'vitest';
import { en } from './i18n/en';
import { fr } from './i18n/fr';
import { describeExit, describeTrouble } from './troubles';

describe('the words of the API', () => {
  it('are in the reader’s language', () => {
    expect(describeTrouble('silent', en)).toEqual({ tone: 'bad', icon: 'unplugged', text: 'Silent' });
    expect(describeTrouble('journal-refusing', fr).text).toBe('N’accepte plus de ventes');
    expect(describeExit('power', en)).toBe('power cut');
    expect(describeExit('power', fr)).toBe('coupure de courant');
  });

  it('are shown as they are if they are of a later version', () => {
    for (const word of ['a-later-word', 'constructor', '']) {
      expect(describeTrouble(word, fr)).toEqual({ tone: 'plain', icon: 'warning', text: word });
      expect(describeExit(word, fr)).toBe(word);
    }
  });
});
