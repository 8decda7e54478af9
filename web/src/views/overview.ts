// The first view: figures, live events, and the form beside them.

import type { Context, View } from '../context';
import { h } from '../dom';
import { t } from '../i18n';
import { eventsView } from './events';
import { figuresView } from './figures';
import { publishView } from './publish';

export function overviewView(ctx: Context): View {
  const figures = figuresView(ctx);
  const events = eventsView(ctx);
  const publish = publishView(ctx);
  const node = h(
    'div', { class: 'overview' },
    h('h1', { class: 'offscreen', tabindex: '-1' }, t('overview')),
    figures.node,
    h('div', { class: 'columns' }, events.node, publish.node),
  );
  return {
    node,
    figures: () => figures.figures?.(),
    events: () => events.events?.(),
    state: () => events.state?.(),
    theme: () => figures.theme?.(),
    destroy: () => {
      figures.destroy?.();
      events.destroy?.();
    },
  };
}
