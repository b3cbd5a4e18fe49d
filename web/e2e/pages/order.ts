/** Page object of the page of one order. */
import { expect, type Locator, type Page } from '@playwright/test';
import { App } from './app';

export class OrderPage extends App {
  readonly root: Locator;
  readonly number: Locator;
  readonly status: Locator;
  readonly unknown: Locator;
  readonly complete: Locator;
  readonly cancel: Locator;
  readonly ask: Locator;
  readonly confirm: Locator;
  readonly undo: Locator;
  readonly undoButton: Locator;
  readonly announcement: Locator;
  readonly pay: Locator;
  readonly payResult: Locator;
  readonly unanswered: Locator;
  readonly refundDialog: Locator;
  readonly refundSend: Locator;
  readonly openDelivery: Locator;
  readonly deliveryForm: Locator;
  readonly advance: Locator;
  readonly receipt: Locator;

  constructor(page: Page) {
    super(page);
    const byId = (id: string) => page.getByTestId(id);
    this.root = byId('order-page');
    this.number = byId('order-number');
    this.status = byId('order-status');
    this.unknown = byId('unknown-order');
    this.complete = byId('complete');
    this.cancel = byId('cancel');
    this.ask = byId('ask');
    this.confirm = byId('ask-confirm');
    this.undo = byId('undo');
    this.undoButton = byId('undo-button');
    this.announcement = byId('order-announcement');
    this.pay = byId('pay-form');
    this.payResult = byId('pay-result');
    this.unanswered = byId('unanswered');
    this.refundDialog = byId('refund-dialog');
    this.refundSend = byId('refund-send');
    this.openDelivery = byId('open-delivery');
    this.deliveryForm = byId('delivery-form');
    this.advance = byId('advance');
    this.receipt = byId('receipt');
  }

  async openOrder(id: string, store?: string): Promise<void> {
    await this.page.goto(`/orders/${encodeURIComponent(id)}${store === undefined ? '' : `?store=${store}`}`);
    await expect(this.status.or(this.unknown)).toBeVisible();
  }

  readonly sum = (name: 'total' | 'paid' | 'refunded' | 'due') => this.page.locator(`[data-sum="${name}"]`);
  readonly panel = (name: string) => this.page.locator(`[data-panel="${name}"]`);
  readonly payment = (id: string) => this.panel('payments').locator(`[data-id="${id}"]`);
  readonly delivery = () => this.panel('delivery').locator('li[data-status]');

  async takePayment(amount: string): Promise<void> {
    await this.pay.locator('[name=amount]').fill(amount);
    await this.pay.locator('button[type=submit]').click();
  }

  /** Opens the refund of a payment, and chooses what to refund. */
  async refund(payment: string, mode: 'all' | 'items' | 'part'): Promise<void> {
    await this.payment(payment).getByTestId('refund').click();
    await this.refundDialog.locator(`input[value=${mode}]`).check({ force: true });
  }
}
