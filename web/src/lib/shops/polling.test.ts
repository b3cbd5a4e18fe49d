import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Polling } from './polling';

const page = Object.assign(new EventTarget(), { hidden: false });

beforeEach(() => {
  vi.useFakeTimers();
  page.hidden = false;
  vi.stubGlobal('document', page);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const show = (isVisible: boolean) => {
  page.hidden = !isVisible;
  page.dispatchEvent(new Event('visibilitychange'));
};
const createReader = <T>(read: () => Promise<T>) => ({ read: vi.fn(read), onAnswer: vi.fn(), onFailure: vi.fn() });

/** A read that is answered when the test says so. */
function createSlowReader() {
  const answers: ((value: string) => void)[] = [];
  return { answers, reader: createReader(() => new Promise<string>((resolve) => answers.push(resolve))) };
}

describe('polling', () => {
  it('reads at once and then every ten seconds, until it is stopped', async () => {
    const reader = createReader(() => Promise.resolve('sales'));
    const stop = new Polling(reader).start();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(reader.read).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(reader.onAnswer).toHaveBeenCalledTimes(2);
    stop();
    show(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(reader.read).toHaveBeenCalledTimes(2);
  });

  it('reads nothing while the page is hidden, and at once when it is visible again', async () => {
    const reader = createReader(() => Promise.resolve('sales'));
    page.hidden = true;
    new Polling(reader).start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(reader.read).not.toHaveBeenCalled();
    show(true);
    expect(reader.read).toHaveBeenCalledTimes(1);
  });

  it('waits for an answer before it reads again', async () => {
    const { answers, reader } = createSlowReader();
    new Polling(reader).start();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(reader.read).toHaveBeenCalledTimes(1);
    answers[0]?.('sales');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reader.read).toHaveBeenCalledTimes(2);
  });

  it('goes on after a failure', async () => {
    const reader = createReader(() => Promise.reject(new Error('unreachable')));
    new Polling(reader).start();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(reader.onFailure).toHaveBeenCalledTimes(2);
  });

  it('ignores an answer that comes after it was stopped', async () => {
    const { answers, reader } = createSlowReader();
    const stop = new Polling(reader).start();
    stop();
    answers[0]?.('sales');
    await vi.advanceTimersByTimeAsync(0);
    expect(reader.onAnswer).not.toHaveBeenCalled();
  });

  it('ignores the answer to a read that another one has replaced', async () => {
    const { answers, reader } = createSlowReader();
    const polling = new Polling(reader);
    polling.start();
    const onAnswer = vi.fn();
    const turned = polling.refresh({ ...reader, read: () => Promise.resolve('next page'), onAnswer });
    answers[0]?.('first page');
    await turned;
    expect(onAnswer).toHaveBeenCalledExactlyOnceWith('next page');
    expect(reader.onAnswer).not.toHaveBeenCalled();
  });
});
