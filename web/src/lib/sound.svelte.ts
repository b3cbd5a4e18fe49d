/** Two notes per payment: rising if it succeeded, falling if it failed. */
import { loadPreference, savePreference } from './preferences';

/** Under load there is an occasional sound, not a drone. */
const MIN_GAP_MS = 250;

class Sound {
  isOn = $state(loadPreference('sound', ['on', 'off'] as const) !== 'off');
  #context: AudioContext | undefined;
  #lastPlayed = 0;

  constructor() {
    // Browsers allow sound only after a gesture, and warn about a context that is created before it. On a touch screen
    // the gesture counts when the finger is lifted.
    for (const gesture of ['pointerup', 'click', 'keydown']) addEventListener(gesture, () => void this.#unlock());
  }

  toggle(): void {
    this.isOn = !this.isOn;
    savePreference('sound', this.isOn ? 'on' : 'off');
    void this.#unlock()?.then(() => this.playPayment(true));
  }

  playPayment(isSuccess: boolean): void {
    const context = this.#context;
    const now = Date.now();
    if (!this.isOn || context?.state !== 'running' || now - this.#lastPlayed < MIN_GAP_MS) return;
    this.#lastPlayed = now;
    const [first, second] = isSuccess ? [660, 880] : [330, 247];
    playNote(context, first, 0);
    playNote(context, second, 0.09);
  }

  #unlock(): Promise<void> | undefined {
    if (!this.isOn) return undefined;
    this.#context ??= new AudioContext();
    return this.#context.state === 'suspended' ? this.#context.resume() : Promise.resolve();
  }
}

/** `frequency` in hertz, `delay` in seconds. */
function playNote(context: AudioContext, frequency: number, delay: number): void {
  const start = context.currentTime + delay;
  const oscillator = new OscillatorNode(context, { type: 'sine', frequency });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  // Fading in and out: a wave that is cut off clicks.
  gain.gain.linearRampToValueAtTime(0.08, start + 0.01);
  gain.gain.exponentialRampToValueAtTime(0.0001, start + 0.16);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(start + 0.18);
}

export const sound = new Sound();
