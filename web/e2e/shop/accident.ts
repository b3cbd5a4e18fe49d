/** Asks the test that started this to do something to the real parts: stop Kafka, kill the gateway, let the tills sell. */
export async function accident(name: 'kafka/stop' | 'kafka/start' | 'gateway/kill' | 'gateway/start' | 'load/start' | 'load/finish' | 'link/cut' | 'link/join'): Promise<void> {
  const answer = await fetch(`${process.env.COMPTOIR_CONTROL}/${name}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`${name}: ${await answer.text()}`);
}
