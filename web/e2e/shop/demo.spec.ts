/** `gateway demo`: anyone can take Kafka down while the tills sell, and see that nothing is lost. */
import { expect, test } from '@playwright/test';
import type { Order, Page } from '../../src/lib/api/types';
import { Gateway, Orders } from '../pages/app';
import { get } from './api';

test('the buttons take Kafka down and up: events pile up, then each is in Kafka once', async ({ page, request }) => {
  const gateway = new Gateway(page);
  await gateway.open('gateway');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'up');
  await expect(gateway.kafkaUp()).toBeDisabled();
  const pending = async () => Number((await gateway.journal().first().innerText()).replace(/\D/g, ''));

  await gateway.kafkaDown().click();
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
  await expect(gateway.kafkaDown()).toBeDisabled();
  await expect(gateway.bar).toContainText(/Offline: [\d,]+ events are safe here and will be sent/);
  await expect.poll(pending).toBeGreaterThan(20);
  const orders = new Orders(page);
  await gateway.go('orders');
  const own = await orders.createOne();
  await expect(orders.row(own).locator('[data-state]')).toHaveAttribute('data-state', 'local');
  const listed = async () => (await get<Page<Order>>(request, '/api/orders?limit=500')).items;
  const waiting = (await listed()).filter((order) => !order.confirmed).map((order) => order.order_id);
  expect(waiting).toContain(own);
  expect(waiting.length).toBeGreaterThan(1);

  await orders.go('gateway');
  await expect.poll(pending).toBeGreaterThan(20);
  await gateway.kafkaUp().click();
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'up');
  await expect.poll(pending, { intervals: [50] }).toBe(0);
  await expect(async () => {
    const items = await listed();
    const ids = items.map((order) => order.order_id);
    expect(new Set(ids).size).toBe(ids.length);
    const there = items.filter((order) => order.confirmed && order.offset !== undefined).map((order) => order.order_id);
    expect(waiting.filter((id) => !there.includes(id))).toEqual([]);
  }).toPass({ timeout: 20_000 });
});
