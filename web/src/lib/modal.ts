/**
 * Shows a dialog above the page, and calls `closed` once it is closed, by whatever way.
 *
 * The browser's own `close` event comes in a later task. A key that is pressed before it would meet the state of the
 * open dialog: the opener has the focus again, but does not open anything. The attribute changes at once.
 */
export const modal = (closed: () => void) => (dialog: HTMLDialogElement) => {
  const observer = new MutationObserver(() => {
    if (dialog.open) return;
    observer.disconnect();
    closed();
  });
  dialog.showModal();
  observer.observe(dialog, { attributeFilter: ['open'] });
  return () => observer.disconnect();
};
