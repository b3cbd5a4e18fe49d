import axe from 'axe-core';
import type { Page } from '@playwright/test';

/** What axe finds on the page that is shown. */
export async function findViolations({ page }: { page: Page }): Promise<string[]> {
  // A script of the test is not subject to the pages' content security policy.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
}
