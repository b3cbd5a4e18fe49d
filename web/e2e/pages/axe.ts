import axe from 'axe-core';
import type { Page } from '@playwright/test';

/** Runs axe on the current page. Returns the violations. */
export async function findViolations({ page }: { page: Page }): Promise<string[]> {
  // Scripts that the test evaluates are not subject to the page's content security policy.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => {
    // A message that is still fading in has too little contrast. Endless animations cannot be finished.
    for (const animation of document.getAnimations())
      if (animation.effect?.getComputedTiming().endTime !== Infinity) animation.finish();
    return (window as unknown as { axe: typeof axe }).axe.run();
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
}
