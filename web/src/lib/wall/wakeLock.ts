/** Keeps the screen on while the page is visible, where the browser can do so: only on HTTPS or `localhost`. */

/** Returns a function that lets the screen go off again. */
export function keepScreenOn(): () => void {
  let lock: WakeLockSentinel | null = null;
  let isOver = false;

  async function request() {
    if (!('wakeLock' in navigator) || document.hidden || lock?.released === false) return;
    try {
      const granted = await navigator.wakeLock.request('screen');
      if (isOver) await granted.release();
      else lock = granted;
    } catch {
      // Refused, for example by a device that saves its battery. The figures matter more.
    }
  }

  // The browser releases the lock when the page is hidden.
  const onVisibility = () => void request();
  document.addEventListener('visibilitychange', onVisibility);
  void request();
  return () => {
    isOver = true;
    document.removeEventListener('visibilitychange', onVisibility);
    void lock?.release();
  };
}
