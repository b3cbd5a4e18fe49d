/** Sends commands to the Rust test that started Playwright, at the URL in `COMPTOIR_CONTROL`. */
async function request(path: string, body?: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const answer = await fetch(`${process.env.COMPTOIR_CONTROL}/${path}`, {
    method: 'POST',
    ...(body === undefined ? {} : { body }),
  });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
}

type Action =
  | 'kafka/stop'
  | 'kafka/start'
  | 'gateway/kill'
  | 'gateway/start'
  | 'load/start'
  | 'load/minute'
  | 'load/finish'
  | 'link/cut'
  | 'link/silence'
  | 'link/join';

/** Stops or starts real parts of the shop, cuts the page's connection, or lets the tills sell. */
export const perform = (action: Action) => request(action);

/**
 * Publishes these bytes over MQTT as a till of the shop. `topic` is the end of the topic, such as `till-1/payments`.
 */
export const publish = (topic: string, bytes: string | Uint8Array<ArrayBuffer>) => request(`mqtt/${topic}`, bytes);
