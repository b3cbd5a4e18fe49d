/** The gateway page. */
import { PROBLEMS } from '../../src/lib/api/types';
import { Gateway } from '../pages/app';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

test.describe('gateway', () => {
  test('the counter has a name in the reader’s language, and no presence', async ({ page, request }) => {
    await request.post('/api/orders', { data: {} });
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await expect(gateway.till('counter').locator('td').first()).toHaveText('Comptoir');
    await gateway.speak('en');
    await expect(gateway.till('counter').locator('td').first()).toHaveText('Counter');
  });

  test('the journal says in words what is in Kafka, once something is', SIMULATOR_ONLY, async ({ page, simulate }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await expect(page.locator('[data-panel="journal"] dl')).toContainText(
      /Tout est dans Kafka jusqu’au\s*n°\s[\d\s]+ du journal/,
    );
    await simulate({ neverSent: true });
    await expect(page.locator('[data-panel="journal"] dl')).not.toContainText('Tout est dans Kafka');
  });

  test('a topic’s row counts its partitions, and theirs have numbers', async ({ page, request }) => {
    await request.post('/api/orders', { data: {} });
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    const panel = page.locator('[data-panel="partitions"]');
    await expect(panel.locator('th').nth(1)).toHaveText('Partitions');
    await expect(panel.locator('[data-topic="orders"] td').nth(1)).toHaveText(/^\d+$/);
    await page.getByRole('button', { name: 'Partitions du topic «\u00a0orders\u00a0»' }).click();
    await expect(panel.locator('[data-partition^="orders"] td').nth(1)).toHaveText(/^n°\u00a0\d+$/);
  });

  test('the status bar and the rows follow Kafka down and up', async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await gateway.kafkaDown().click();
    await expect(gateway.bar).toContainText('Hors ligne');
    await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
    await expect(gateway.health()).toContainText('Hors ligne');
    await page.getByRole('button', { name: 'Partitions du topic «\u00a0orders\u00a0»' }).click();
    await expect(page.locator('[data-partition^=orders]')).toHaveCount(3);
    await page.request.post('/api/orders', { data: {} });
    await page.request.post('/api/orders', { data: {} });
    await expect(gateway.bar).toContainText(/\d+ événements sont en sécurité ici et partiront plus tard/);
    await gateway.go('orders');
    await expect(page.locator('tr[data-id] [data-state="local"]').first()).toBeVisible();
    await gateway.go('gateway');
    await gateway.kafkaUp().click();
    await expect(gateway.bar).toContainText('Les ventes sont envoyées au fur et à mesure');
    await gateway.go('orders');
    await expect(page.locator('tr[data-id] [data-state="local"]')).toHaveCount(0);
  });

  test('the gateway page shows settings problems until they are fixed', SIMULATOR_ONLY, async ({ page, simulate }) => {
    const gateway = new Gateway(page);
    await simulate({
      settingsProblems: [
        { place: '/etc/comptoir/gateway.toml', key: 'kafka.partitions', message: 'at least 1' },
        { place: 'comptoir.txt, line 3', message: 'KEY=value is expected' },
      ],
    });
    await gateway.open('gateway');
    await expect(gateway.settings()).toContainText('La configuration contient des erreurs');
    await expect(gateway.settings().getByRole('listitem')).toHaveText([
      /kafka\.partitions.*at least 1.*gateway\.toml/,
      /KEY=value is expected.*line 3/,
    ]);
    await gateway.speak('en');
    await expect(gateway.settings()).toContainText('running on its last working configuration');
    await simulate({ settingsProblems: [] });
    await gateway.open('gateway');
    await expect(gateway.settings()).toHaveCount(0);
  });

  test(
    'the gateway page shows the bytes of the day, and that only payments are sent',
    SIMULATOR_ONLY,
    async ({ page, simulate }) => {
      const gateway = new Gateway(page);
      await simulate({
        uplink: { mode: 'metered', delay: 10, sent_bytes: 17_000_000, received_bytes: 1_500_000, events: 50_000 },
      });
      await gateway.open('gateway');
      const uplink = page.getByTestId('uplink');
      await expect(uplink).toContainText('regroupés pendant 10');
      await expect(uplink).toContainText(/17\s*Mo envoyés, 1,5\s*Mo reçus/);
      await expect(uplink).toContainText(/370\s*o par événement/);
      await simulate({ uplink: { budget: 20_000_000, payments_only: true } });
      await gateway.speak('en');
      await expect(uplink).toContainText(/18\.5\s*MB of 20\s*MB/);
      await expect(page.getByTestId('health')).toContainText('only payments are sent until midnight');
    },
  );

  test('dead letters show their bytes, can be exported unchanged, and retried', SIMULATOR_ONLY, async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    const letter = gateway.deadLetter(2);
    await letter.locator('.opener').click();
    await letter.locator('input[value=hex]').check({ force: true });
    await expect(letter.locator('pre')).toContainText('0000  09 e2 82 ac');
    const download = page.waitForEvent('download');
    await letter.getByRole('button', { name: 'Exporter' }).click();
    expect((await download).suggestedFilename()).toBe('dead-letter-2.bin');
    await letter.getByRole('button', { name: 'Réessayer' }).click();
    await expect(gateway.toasts).toContainText('Décodé et enregistré');
    await expect(letter).toContainText('réessayé');
    await expect(gateway.health()).toContainText('2 messages');
    await gateway.deadLetter(3).getByRole('button', { name: 'Réessayer' }).click();
    await expect(gateway.toasts).toContainText('Il ne peut toujours pas être décodé');
  });

  test(
    'the reason of a dead letter is in the reader’s language, with the gateway’s words as details',
    SIMULATOR_ONLY,
    async ({ page }) => {
      const gateway = new Gateway(page);
      await gateway.open('gateway');
      const letter = gateway.deadLetter(3);
      await expect(letter.locator('.reason')).toHaveText('Le champ «\u00a0Montant\u00a0» n’est pas valide');
      await letter.locator('summary').click();
      await expect(letter.locator('[lang=en]')).toHaveText('amount: expected a decimal number, found "douze"');
      await gateway.speak('en');
      await expect(letter.locator('.reason')).toHaveText('The field “Amount” is not valid');
    },
  );

  test('dead letters that cannot be loaded are not "no dead letters"', SIMULATOR_ONLY, async ({ page }) => {
    const gateway = new Gateway(page);
    const type = 'urn:comptoir:problem:read-failed';
    const problem = JSON.stringify({ type, ...PROBLEMS[type], detail: 'x' });
    let isBroken = true;
    await page.route('**/api/dead-letters?**', (route) =>
      isBroken
        ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: problem })
        : route.continue(),
    );
    await page.goto('/gateway');
    const panel = gateway.deadLetters();
    await expect(panel.getByRole('alert')).toContainText('La passerelle ne peut pas lire son disque');
    await expect(panel).not.toContainText('Aucun message illisible');
    isBroken = false;
    await panel.getByRole('button', { name: 'Recharger' }).click();
    await expect(gateway.deadLetter(2)).toBeVisible();
    await expect(panel.getByRole('alert')).toHaveCount(0);
  });
});
