/** The texts of wall mode, which is loaded where somebody opens it. */
export const en = {
  takings: 'Takings today',
  orders: 'Orders today',
  allTime: (value: string) => `All time: ${value}`,
  live: 'Live',
  lastKnown: (at: string) => `Last known: ${at}`,
  yesterday: 'Yesterday',
  /** The orders of the hour that is still running. */
  soFar: (orders: string) => `${orders} so far`,
  until: (orders: string, at: string) => `${orders} until ${at}`,
  hourSoFar: (hour: string) => `${hour}, so far`,
  latest: 'Latest sales',
  refund: 'Refund',
  expected: (day: string) => `expected ${day}`,
  leave: 'Leave wall mode',
};

export type WallMessages = typeof en;
