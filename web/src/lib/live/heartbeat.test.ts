import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HeartbeatMonitor } from './heartbeat';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const createMonitor = () => {
  const onTimeout = vi.fn();
  return { onTimeout, monitor: new HeartbeatMonitor(onTimeout) };
};

describe('the heartbeat monitor', () => {
  it('reports a timeout once, ten seconds after the last message', () => {
    const { onTimeout, monitor } = createMonitor();
    monitor.arm();
    vi.advanceTimersByTime(9_000);
    monitor.reset();
    vi.advanceTimersByTime(9_999);
    expect(onTimeout).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_000);
    expect(onTimeout).toHaveBeenCalledTimes(1);
  });

  it('reports nothing for a gateway that sends no heartbeats', () => {
    const { onTimeout, monitor } = createMonitor();
    monitor.reset();
    vi.advanceTimersByTime(60_000);
    expect(onTimeout).not.toHaveBeenCalled();
  });

  it('reports nothing for a closed connection until the next heartbeat', () => {
    const { onTimeout, monitor } = createMonitor();
    monitor.arm();
    monitor.disarm();
    monitor.reset();
    vi.advanceTimersByTime(60_000);
    expect(onTimeout).not.toHaveBeenCalled();
    monitor.arm();
    vi.advanceTimersByTime(10_000);
    expect(onTimeout).toHaveBeenCalledTimes(1);
  });
});
