import { describe, expect, it } from 'vitest';
import { EventLog, KEPT_MAX, SHOWN_MAX } from '../src/events';
import { matchChannel, matchEvent, splitChannels, toOpen, toPattern, type LiveEvent } from '../src/filter';

function event(key: number, more: Partial<LiveEvent> = {}): LiveEvent {
  return {
    key, channel: 'project:1', type: 'story.updated', data: '{"by":"Ana"}', offset: key, tags: {},
    atMs: 0, ...more,
  };
}

describe('matchChannel', () => {
  it.each([
    ['*', 'anything', true],
    ['project:*', 'project:1', true],
    ['project:*', 'projects:1', false],
    ['*:1', 'project:1', true],
    ['*:1', 'project:11', false],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['ab*bc', 'abc', false],
    ['PROJECT:*', 'project:1', true],
    ['ject', 'project:1', true],
    ['task', 'project:1', false],
  ])('%s against %s: %s', (pattern, channel, expected) => {
    expect(matchChannel(pattern, channel)).toBe(expected);
  });
});

describe('matchEvent', () => {
  const none = { channel: '', type: '', text: '' };

  it('lets everything through without a filter', () => expect(matchEvent(none, event(1))).toBe(true));
  it('needs every part to match', () => {
    expect(matchEvent({ channel: 'project:*', type: 'STORY', text: 'ana' }, event(1))).toBe(true);
    expect(matchEvent({ channel: 'project:*', type: 'task', text: 'ana' }, event(1))).toBe(false);
    expect(matchEvent({ ...none, text: 'bob' }, event(1))).toBe(false);
  });
});

describe('toPattern', () => {
  it('looks anywhere in the name unless told otherwise', () => {
    expect([toPattern('red'), toPattern(' room:* '), toPattern('')]).toEqual(['*red*', 'room:*', '']);
  });
});

describe('toOpen', () => {
  it('is a whole name that is in no list', () => {
    expect(toOpen(' room:red ', ['room:red:2'])).toBe('room:red');
    expect([toOpen('room:red', ['room:red']), toOpen('room:*', []), toOpen(' ', [])]).toEqual(['', '', '']);
  });
});

describe('splitChannels', () => {
  it('takes commas and spaces, each name once', () => {
    expect(splitChannels(' a, b:c  a ,,')).toEqual(['a', 'b:c']);
    expect(splitChannels('  ')).toEqual([]);
  });
});

describe('EventLog', () => {
  it('shows the newest first and no more than a page can bear', () => {
    const log = new EventLog();
    for (let i = 1; i <= 3000; i += 1) log.add(event(i));
    const shown = log.shown();
    expect(shown).toHaveLength(SHOWN_MAX);
    expect(shown[0]?.key).toBe(3000);
    expect(log.totalCount).toBe(3000);
    expect(log.keptCount).toBe(KEPT_MAX);
  });

  it('stands still while paused and counts what waits', () => {
    const log = new EventLog();
    log.add(event(1));
    log.pause(true);
    log.add(event(2));
    log.add(event(3));
    expect(log.shown().map((e) => e.key)).toEqual([1]);
    expect(log.waitingCount).toBe(2);
    log.pause(false);
    expect(log.shown().map((e) => e.key)).toEqual([3, 2, 1]);
    expect(log.waitingCount).toBe(0);
  });

  it('filters while paused too, and finds older events behind many others', () => {
    const log = new EventLog();
    log.add(event(1, { channel: 'rare' }));
    for (let i = 2; i <= KEPT_MAX; i += 1) log.add(event(i));
    log.pause(true);
    log.filter = { channel: 'rare', type: '', text: '' };
    expect(log.shown().map((e) => e.key)).toEqual([1]);
  });

  it('forgets everything when it is cleared', () => {
    const log = new EventLog();
    log.add(event(1));
    log.pause(true);
    log.clear();
    expect(log.shown()).toEqual([]);
    expect(log.totalCount).toBe(0);
    log.add(event(2));
    expect(log.shown()).toEqual([]);
    log.pause(false);
    expect(log.shown()).toHaveLength(1);
  });
});
