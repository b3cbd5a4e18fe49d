import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Silence } from './silence';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const listening = () => {
  const over = vi.fn();
  return { over, silence: new Silence(over) };
};

describe('a silent link', () => {
  it('is called dead ten seconds after the last word, once', () => {
    const { over, silence } = listening();
    silence.promised();
    vi.advanceTimersByTime(9_000);
    silence.heard();
    vi.advanceTimersByTime(9_999);
    expect(over).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_000);
    expect(over).toHaveBeenCalledTimes(1);
  });

  it('is none where the gateway promised nothing', () => {
    const { over, silence } = listening();
    silence.heard();
    vi.advanceTimersByTime(60_000);
    expect(over).not.toHaveBeenCalled();
  });

  it('is none that was closed, until the next promise', () => {
    const { over, silence } = listening();
    silence.promised();
    silence.closed();
    silence.heard();
    vi.advanceTimersByTime(60_000);
    expect(over).not.toHaveBeenCalled();
    silence.promised();
    vi.advanceTimersByTime(10_000);
    expect(over).toHaveBeenCalledTimes(1);
  });
});
