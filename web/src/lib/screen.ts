import { MediaQuery } from 'svelte/reactivity';

/** Phones show fewer columns. Cells that are not shown are not made either: under load each one costs. */
export const phone = new MediaQuery('max-width: 719px');
