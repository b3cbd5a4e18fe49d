/** Preferences of this browser. If it forbids storage, a preference lasts as long as the tab. */
export function loadPreference<T extends string>(key: string, allowed: readonly T[]): T | null {
  try {
    const value = localStorage.getItem(`comptoir.${key}`);
    return allowed.find((a) => a === value) ?? null;
  } catch {
    return null;
  }
}

export function savePreference(key: string, value: string): void {
  try {
    localStorage.setItem(`comptoir.${key}`, value);
  } catch {
    // The preference still applies in this tab.
  }
}
