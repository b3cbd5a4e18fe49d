/** The requests of the page of the commands. */
import { get, RequestError } from '../../src/lib/api/http';
import type { Problem } from '../../src/lib/api/types';
import type { CommandDetails, CommandsPage, CommandTargets } from '../lib/types';

/** Longer than any request takes the office. */
const TIMEOUT_MS = 15_000;

export type NewCommand =
  | { type: 'message'; text: string }
  | { type: 'price_list'; currency: string; prices: { product: string; unit_price: number }[] };

export const readCommands = (limit: number): Promise<CommandsPage> => get<CommandsPage>(`/api/commands?limit=${limit}`);

export const readCommand = (id: number): Promise<CommandDetails> => get<CommandDetails>(`/api/commands/${id}`);

export const readTills = async (store: string): Promise<string[]> =>
  (await get<CommandTargets>(`/api/commands/targets?store=${encodeURIComponent(store)}`)).tills;

/**
 * Sends a command. The same request with the same key is sent to the shops only once.
 *
 * @throws `RequestError`
 */
export async function sendCommand(to: string, command: NewCommand, key: string): Promise<void> {
  let response: Response;
  try {
    response = await fetch('/api/commands', {
      method: 'POST',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ to, command }),
    });
  } catch {
    throw new RequestError(null);
  }
  if (response.ok) return;
  const isProblem = response.headers.get('content-type') === 'application/problem+json';
  const problem = isProblem ? ((await response.json().catch(() => null)) as Problem | null) : null;
  throw new RequestError(problem, response.status);
}
