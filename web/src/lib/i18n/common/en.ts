import { createPluralizer } from '../plural';

const plural = createPluralizer('en-GB');

/** The texts that the gateway's pages and the office's page share. */
export const en = {
  title: 'Comptoir',
  skip: 'Skip to content',
  language: 'Language',
  theme: (choice: string) => `Theme: ${choice}`,
  light: 'Light',
  dark: 'Dark',
  system: 'System',
  details: 'Details',
  newRows: (count: number) => plural(count, { one: '# new', other: '# new' }),
  controls: {
    close: 'Close',
    notices: 'Notifications',
  },
  /** Today’s figure, compared with yesterday’s at the same time. */
  figure: {
    today: (value: string) => `${value} today`,
    change: (change: string) => `${change} vs. yesterday at this time`,
    same: 'same as yesterday at this time',
    noYesterday: 'none yesterday by this time',
  },
  /** A sale, whichever program shows it. */
  sale: {
    status: {
      Pending: 'Pending',
      Processing: 'Processing',
      Completed: 'Completed',
      Cancelled: 'Cancelled',
      SUCCESS: 'Succeeded',
      FAILED: 'Failed',
      'In Transit': 'In transit',
      Delivered: 'Delivered',
    } as Record<string, string>,
    method: {
      'Credit Card': 'Credit card',
      'Debit Card': 'Debit card',
      PayPal: 'PayPal',
      'Bank Transfer': 'Bank transfer',
      Cash: 'Cash',
    } as Record<string, string>,
    lines: 'Items',
    total: 'Total',
    discount: 'Discount',
    refund: (payment: string) => `Refund of ${payment}`,
    corrected: (count: number) =>
      plural(count, {
        one: '# change from another till was not applied',
        other: '# changes from other tills were not applied',
      }),
  },
};

export type CommonMessages = typeof en;
