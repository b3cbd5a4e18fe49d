const control = async (what: string, body?: string | Uint8Array<ArrayBuffer>) => {
  const answer = await fetch(`${process.env.COMPTOIR_CONTROL}/${what}`, { method: 'POST', ...(body === undefined ? {} : { body }) });
  if (!answer.ok) throw new Error(`${what}: ${await answer.text()}`);
};

/** Asks the test that started this to do something to the real parts: stop Kafka, kill the gateway, let the tills sell. */
export const accident = (name: 'kafka/stop' | 'kafka/start' | 'gateway/kill' | 'gateway/start' | 'load/start' | 'load/minute' | 'load/finish' | 'link/cut' | 'link/silence' | 'link/join') => control(name);

/** Publishes these very bytes by MQTT, as a till of the shop does: `till-1/payments`. */
export const publish = (topic: string, bytes: string | Uint8Array<ArrayBuffer>) => control(`mqtt/${topic}`, bytes);
