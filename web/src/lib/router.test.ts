import { describe, expect, it, vi } from 'vitest';

// The router listens to the window.
vi.stubGlobal('addEventListener', () => undefined);
vi.stubGlobal('location', { pathname: '/', search: '' });
vi.stubGlobal('document', { addEventListener: () => undefined });
const { addressOf, dateOf, isDayPage, pageFromPath, sectionOf } = await import('./router.svelte');

describe('the page of a day', () => {
  it.each([
    ['/day', null],
    ['/day/', null],
    ['/day/2026-12-01', '2026-12-01'],
    ['/day/2026-12-01/', '2026-12-01'],
    ['/day/nonsense', 'nonsense'],
  ])('%s names the day %s', (path, date) => {
    const page = pageFromPath(path);
    expect(isDayPage(page) && dateOf(page)).toBe(date);
    expect(sectionOf(page)).toBe('day');
    expect(addressOf(page, 'store=lyon-2')).toBe(`${path.replace(/\/$/, '')}?store=lyon-2`);
  });

  it.each(['/days', '/day/2026-12-01/more', '/today'])('is not %s', (path) => {
    expect(pageFromPath(path)).toBe('dashboard');
  });
});
