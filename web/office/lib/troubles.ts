/** The text, the tone and the icon of each trouble. */
import type { BadgeTone } from '../../src/components/Badge.svelte';
import type { IconName } from '../../src/components/Icon.svelte';
import type { OfficeMessages } from './i18n/en';

type Look = { tone: BadgeTone; icon: IconName };

/** Red: sales are lost or cannot be made, or the state is unknown. Amber: the trouble gets worse if nobody acts. */
const LOOKS: Record<keyof OfficeMessages['trouble'], Look> = {
  silent: { tone: 'bad', icon: 'unplugged' },
  'missing-numbers': { tone: 'bad', icon: 'warning' },
  'journal-refusing': { tone: 'bad', icon: 'stop' },
  'events-lost': { tone: 'bad', icon: 'warning' },
  'devices-refused': { tone: 'bad', icon: 'till' },
  'mqtt-down': { tone: 'wait', icon: 'unplugged' },
  'bridge-down': { tone: 'wait', icon: 'unplugged' },
  'payments-only': { tone: 'wait', icon: 'clock' },
  'commands-down': { tone: 'wait', icon: 'unplugged' },
  backlog: { tone: 'wait', icon: 'clock' },
  'journal-fills': { tone: 'wait', icon: 'box' },
  'archive-failing': { tone: 'wait', icon: 'box' },
  'disk-low': { tone: 'wait', icon: 'box' },
  'dead-letters': { tone: 'wait', icon: 'mail' },
  'clock-unsynchronised': { tone: 'wait', icon: 'clock' },
  warnings: { tone: 'plain', icon: 'warning' },
};

const isKnown = (word: string): word is keyof typeof LOOKS => Object.hasOwn(LOOKS, word);

/** A word from a later version is shown unchanged. */
export function describeTrouble(word: string, t: OfficeMessages): Look & { text: string } {
  return isKnown(word) ? { ...LOOKS[word], text: t.trouble[word] } : { tone: 'plain', icon: 'warning', text: word };
}

/** Why the gateway's previous run ended. */
export function describeExit(word: string, t: OfficeMessages): string {
  return Object.hasOwn(t.exit, word) ? t.exit[word as keyof typeof t.exit] : word;
}
