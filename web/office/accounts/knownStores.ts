/** The shops that the office knows, for the components below a page. */
import { createContext } from 'svelte';

export const [getKnownStores, setKnownStores] = createContext<() => readonly string[]>();
