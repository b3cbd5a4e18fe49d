/** A click on a row that opens it, and not one on a control in it, or the end of a selection of text. */
export const isRowClick = (event: MouseEvent): boolean =>
  !(event.target as Element).closest('button, a') && !getSelection()?.toString();
