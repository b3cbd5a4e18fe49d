import type { PaymentMethod } from '../api/types';
import { localisation } from '../i18n/localisation.svelte';

export const METHODS: readonly PaymentMethod[] = ['Credit Card', 'Debit Card', 'PayPal', 'Bank Transfer', 'Cash'];

/** In the reader's language. A newer gateway may have more methods. */
export const methodName = (method: string): string => localisation.common.sale.method[method] ?? method;
