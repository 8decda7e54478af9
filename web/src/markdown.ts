// A message as Markdown. A model's text is nobody's markup: what the renderer makes of it is cut down
// to plain formatting, and neither pictures nor anything else is fetched from elsewhere.

import DOMPurify from 'dompurify';
import { Marked, type Token, type TokensList } from 'marked';
import { copyButton } from './copy';
import { h } from './dom';
import { t } from './i18n';

const marked = new Marked({ gfm: true, breaks: true, async: false });

const ALLOWED_TAGS = [
  'p', 'br', 'hr', 'strong', 'b', 'em', 'i', 'del', 's', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a',
  'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'sub', 'sup', 'kbd',
];
const ALLOWED_ATTR = ['href', 'title', 'start', 'class', 'align'];

function clean(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS, ALLOWED_ATTR, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false,
    ADD_URI_SAFE_ATTR: ['start', 'align'], // no addresses, or they would be held against the next line
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i, RETURN_DOM_FRAGMENT: true,
  });
}

// A picture from elsewhere is a link to it.
marked.use({
  renderer: {
    image({ href, text }) {
      const link = h('a', { href }, text || href);
      return link.outerHTML;
    },
    html({ text }) {
      return h('span', {}, text).innerHTML;
    },
  },
});

function dress(root: ParentNode, announce: (text: string) => void): void {
  for (const link of root.querySelectorAll('a')) {
    if (!link.hasAttribute('href')) {
      link.replaceWith(...link.childNodes);
      continue;
    }
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
  }
  for (const pre of root.querySelectorAll('pre')) {
    const code = pre.querySelector('code');
    const language = /(?:^|\s)language-([\w+#.-]+)/.exec(code?.className ?? '')?.[1] ?? '';
    for (const node of [pre, code]) node?.removeAttribute('class');
    pre.tabIndex = 0;
    const what = language || t('code');
    pre.setAttribute('role', 'group');
    pre.setAttribute('aria-label', what);
    const box = h('div', { class: 'code' });
    pre.replaceWith(box);
    box.append(h('div', { class: 'code-head' }, h('span', {}, language),
      copyButton(what, () => pre.textContent ?? '', announce)), pre);
  }
  for (const table of root.querySelectorAll('table')) {
    const box = h('div', { class: 'table-scroll', tabindex: '0', role: 'group', 'aria-label': t('table') });
    table.replaceWith(box);
    box.append(table);
  }
  // The page's own headings stand above: those of a message start below them.
  for (const heading of root.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    const level = Math.min(6, Number(heading.tagName.slice(1)) + 2);
    const lower = document.createElement(`h${level}`);
    lower.append(...heading.childNodes);
    heading.replaceWith(lower);
  }
  for (const node of root.querySelectorAll('[class]:not(.code, .code-head, .table-scroll, .icon, .icon-button)')) {
    if (!node.closest('.code-head')) node.removeAttribute('class');
  }
}

// Drawn block by block: while a text grows, only its last blocks are drawn anew, and a selection or an
// opened menu in the others stays as it is.
export class MarkdownView {
  readonly node = h('div', { class: 'markdown' });
  private blocks: { raw: string; nodes: ChildNode[] }[] = [];

  constructor(private readonly announce: (text: string) => void) {}

  set(text: string): void {
    const tokens: TokensList = marked.lexer(text);
    let same = 0;
    while (same < this.blocks.length && this.blocks[same]?.raw === tokens[same]?.raw) same += 1;
    // A definition of a link further down changes the blocks above it.
    if (tokens.slice(same).some((token) => token.type === 'def')) same = 0;
    for (const { nodes } of this.blocks.splice(same)) for (const node of nodes) node.remove();
    for (const token of tokens.slice(same)) this.blocks.push(this.draw(token));
  }

  private draw(token: Token): { raw: string; nodes: ChildNode[] } {
    const fragment = clean(marked.parser([token]) as string);
    dress(fragment, this.announce);
    const nodes = [...fragment.childNodes];
    this.node.append(fragment);
    return { raw: token.raw, nodes };
  }
}
