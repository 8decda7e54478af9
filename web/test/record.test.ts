import { describe, expect, it } from 'vitest';
import { Thread, readMessage } from '../src/record';

const whole = (id: number, content: string, seq: number, state = 'streaming'): Record<string, unknown> =>
  ({ id, role: 'assistant', state, content, seq });
const row = (id: number, content: string, state = 'complete', role = 'assistant'): Record<string, unknown> =>
  ({ id, conversation_id: 1, role, content, state, model: null, error: null, created_at: '2026-11-30T04:00:00.000Z' });

describe('readMessage', () => {
  it('takes rows and messages, and nothing else', () => {
    expect(readMessage(row(7, 'a'))).toMatchObject({ id: '7', content: 'a', state: 'complete', model: '', error: '' });
    expect(readMessage({ id: 'cmpl-1', content: '' })).toMatchObject({ id: 'cmpl-1', role: 'assistant' });
    for (const wrong of [null, 1, 'a', [], {}, { id: 1 }, { content: 'a' }, { id: null, content: 'a' }, { id: 1, content: 2 }]) {
      expect(readMessage(wrong), JSON.stringify(wrong)).toBeNull();
    }
  });
});

describe('Thread', () => {
  it('puts the pieces of an answer together', () => {
    const thread = new Thread();
    expect(thread.apply('chat:message', whole(2, '', 0))).toBe('changed');
    expect(thread.apply('chat:append', { id: 2, seq: 1, text: 'Hel' })).toBe('changed');
    expect(thread.apply('chat:append', { id: 2, seq: 2, text: 'lo' })).toBe('changed');
    expect(thread.get('2')?.content).toBe('Hello');
    expect(thread.streaming?.id).toBe('2');
    expect(thread.apply('chat:message', { ...row(2, 'Hello!'), seq: 3 })).toBe('changed');
    expect(thread.get('2')).toMatchObject({ content: 'Hello!', state: 'complete' });
    expect(thread.streaming).toBeUndefined();
  });

  // Wherever a reader joins, it has the whole text.
  it('gives every late reader the same text', () => {
    const pieces = ['á', 'b ', '**c', '**', '\n', 'd'];
    const text = pieces.join('');
    for (let from = 0; from <= pieces.length; from += 1) {
      const thread = new Thread();
      thread.apply('chat:message', whole(1, pieces.slice(0, from).join(''), from));
      pieces.forEach((piece, i) => thread.apply('chat:append', { id: 1, seq: i + 1, text: piece }));
      expect(thread.get('1')?.content, `from ${from}`).toBe(text);
    }
  });

  it('counts no piece twice', () => {
    const thread = new Thread();
    thread.apply('chat:message', whole(1, 'ab', 2));
    expect(thread.apply('chat:append', { id: 1, seq: 2, text: 'b' })).toBe('none');
    expect(thread.apply('chat:message', whole(1, 'a', 1))).toBe('none');
    expect(thread.get('1')?.content).toBe('ab');
  });

  it('notices a missing piece, a piece of nothing, and a piece behind a stored row', () => {
    const thread = new Thread();
    expect(thread.apply('chat:append', { id: 9, seq: 1, text: 'x' })).toBe('gap');
    thread.apply('chat:message', whole(1, 'a', 1));
    expect(thread.apply('chat:append', { id: 1, seq: 3, text: 'c' })).toBe('gap');
    thread.addRows([row(5, 'ab', 'streaming')]);
    expect(thread.apply('chat:append', { id: 5, seq: 3, text: 'c' })).toBe('gap');
    expect(thread.apply('chat:message', whole(5, 'abc', 3))).toBe('changed');
    expect(thread.get('5')?.content).toBe('abc');
  });

  it('does not go back to a stored row that is older than what arrived', () => {
    const thread = new Thread();
    thread.apply('chat:message', whole(1, 'abc', 3));
    thread.addRows([row(1, 'a', 'streaming')]);
    expect(thread.get('1')?.content).toBe('abc');
    thread.addRows([row(1, 'abcd', 'cancelled')]);
    expect(thread.get('1')).toMatchObject({ content: 'abcd', state: 'cancelled' });
    expect(thread.apply('chat:message', whole(1, 'abc', 3))).toBe('none');
    expect(thread.apply('chat:append', { id: 1, seq: 4, text: 'd' })).toBe('none');
    expect(thread.get('1')).toMatchObject({ content: 'abcd', state: 'cancelled' });
  });

  it('keeps the order of ids, whatever comes first', () => {
    const thread = new Thread();
    thread.addRows([row(10, 'c'), row(12, 'd')]);
    thread.addRows([row(2, 'a'), row(9, 'b')]);
    thread.apply('chat:message', { ...row(11, 'between'), role: 'user' });
    expect(thread.messages.map((m) => m.id)).toEqual(['2', '9', '10', '11', '12']);
    thread.apply('chat:message', { id: 'cmpl-1', content: 'x' });
    expect(thread.messages.at(-1)?.id).toBe('cmpl-1');
  });

  it('keeps what a later message leaves out', () => {
    const thread = new Thread();
    thread.addRows([{ ...row(1, 'a', 'streaming'), model: 'm' }]);
    thread.apply('chat:message', whole(1, 'ab', 1, 'complete'));
    expect(thread.get('1')).toMatchObject({ model: 'm', atMs: Date.parse('2026-11-30T04:00:00Z') });
  });

  it('passes over what is not its own', () => {
    const thread = new Thread();
    for (const [type, data] of [['', {}], ['typing', row(1, 'a')], ['chat:message', null], ['chat:append', null],
      ['chat:append', { id: 1, seq: '1', text: 'a' }], ['chat:append', { id: 1, seq: 1 }]] as const) {
      expect(thread.apply(type, data)).toBe('none');
    }
    expect(thread.messages).toEqual([]);
  });
});
