import { RequestError } from '../../src/lib/api/http';

/** The office does not know the shop, or the reader may not see it. */
export const isUnknownShop = (error: unknown): boolean => error instanceof RequestError && error.status === 404;
