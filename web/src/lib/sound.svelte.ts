/** Two notes per payment: rising when it succeeded, falling when it failed. */
import { remember, remembered } from './remembered';

/** Under load one hears a sound now and then, not a drone. */
const GAP_MS = 250;

class Sound {
  on = $state(remembered('sound', ['on', 'off'] as const) !== 'off');
  #context: AudioContext | undefined;
  #last = 0;

  constructor() {
    // Browsers allow sound only after a gesture; before it, making a context would only earn a warning.
    // On a touch screen the gesture counts when the finger leaves.
    for (const gesture of ['pointerup', 'click', 'keydown']) addEventListener(gesture, () => void this.#wake());
  }

  toggle(): void {
    this.on = !this.on;
    remember('sound', this.on ? 'on' : 'off');
    void this.#wake()?.then(() => this.payment(true));
  }

  payment(success: boolean): void {
    const context = this.#context;
    const now = Date.now();
    if (!this.on || context?.state !== 'running' || now - this.#last < GAP_MS) return;
    this.#last = now;
    const [first, second] = success ? [660, 880] : [330, 247];
    note(context, first, 0);
    note(context, second, 0.09);
  }

  #wake(): Promise<void> | undefined {
    if (!this.on) return undefined;
    this.#context ??= new AudioContext();
    return this.#context.state === 'suspended' ? this.#context.resume() : Promise.resolve();
  }
}

function note(context: AudioContext, frequency: number, after: number): void {
  const start = context.currentTime + after;
  const oscillator = new OscillatorNode(context, { type: 'sine', frequency });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, start);
  // A ramp up and down: a wave cut off at once clicks.
  gain.gain.linearRampToValueAtTime(0.08, start + 0.01);
  gain.gain.exponentialRampToValueAtTime(0.0001, start + 0.16);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(start + 0.18);
}

export const sound = new Sound();
