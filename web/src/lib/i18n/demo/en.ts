/** The texts of what only a gateway with made-up sales shows, which is loaded there. */
export const en = {
  badge: 'Demo data',
  short: 'Demo',
  about: 'About the demo data',
  explanation:
    'Sales can be made up here: buttons create orders and deliveries, and the gateway decides whether a payment succeeds. In a shop, sales come from the tills, and nothing is made up.',
  console: 'Each new order is also written to the browser’s console.',
};

export type DemoMessages = typeof en;
