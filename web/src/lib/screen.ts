import { MediaQuery } from 'svelte/reactivity';

/** Phones show fewer columns. Hidden cells are not created either: under load each one costs. */
export const phone = new MediaQuery('max-width: 719px');
