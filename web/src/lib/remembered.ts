/** Choices of this browser. Storage may be forbidden; then a choice lasts as long as the tab. */
export function remembered<T extends string>(key: string, allowed: readonly T[]): T | null {
  try {
    const value = localStorage.getItem(`comptoir.${key}`);
    return allowed.find((a) => a === value) ?? null;
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`comptoir.${key}`, value);
  } catch {
    // Nothing to do: the choice still holds in this tab.
  }
}
