/** Whether the pointer has not moved for some seconds. */
const IDLE_MS = 3000;

export class IdlePointer {
  isIdle = $state(true);
  #x = -1;
  #y = -1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  onMove({ clientX, clientY }: { clientX: number; clientY: number }): void {
    // Browsers also report a move when only the page below the pointer has changed.
    if (clientX === this.#x && clientY === this.#y) return;
    [this.#x, this.#y] = [clientX, clientY];
    this.onUse();
  }

  onUse(): void {
    this.isIdle = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.isIdle = true), IDLE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
