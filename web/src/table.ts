// A table that becomes a list of cards on a narrow screen. The roles are spelled out because a
// browser forgets them when the layout is no longer a table's.

import { h, type Child } from './dom';

export interface Column {
  title: string;
  class?: string;
}

export function table(caption: string, columns: readonly Column[], rows: readonly Child[][]): HTMLElement {
  const head = h('tr', { role: 'row' }, ...columns.map((column) =>
    h('th', { role: 'columnheader', scope: 'col', class: column.class }, column.title)));
  const body = rows.map((cells) => h('tr', { role: 'row' }, ...cells.map((cell, i) =>
    h('td', { role: 'cell', class: columns[i]?.class, 'data-title': columns[i]?.title }, cell))));
  return h(
    'table', { role: 'table', 'aria-label': caption },
    h('thead', { role: 'rowgroup' }, head), h('tbody', { role: 'rowgroup' }, ...body),
  );
}
