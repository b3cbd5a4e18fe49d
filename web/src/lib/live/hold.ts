/** For how long a list holds still after a pointer has touched it: what somebody aims at must be what opens. */

/** A mouse that has not moved for this long is not aiming at a row: its pointer was left on a wall screen. */
export const PARKED_MS = 60_000;
/** A finger announces itself only by landing, so a list that was just touched stays as it is for the next touch. */
export const TOUCH_MS = 10_000;

/** In milliseconds from the event on. */
export function holdAfter({
  type,
  pointerType,
  buttons,
}: Pick<PointerEvent, 'type' | 'pointerType' | 'buttons'>): number {
  if (pointerType === 'mouse') return type === 'pointerleave' ? 0 : PARKED_MS;
  // A pen may leave before its click arrives, as a finger does.
  return buttons > 0 ? PARKED_MS : TOUCH_MS;
}
