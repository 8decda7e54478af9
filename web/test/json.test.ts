import { describe, expect, it } from 'vitest';
import { curlCommand, quote, recadoCommand } from '../src/commands';
import { checkJson, indentJson, publishBody } from '../src/json';

describe('checkJson', () => {
  const good = ['{}', '[1, 2]', '"x"', 'null', '-1.5e3', ' {"a": [true]} ', '0', '[[],{}]',
    '"\\u00e9\\n\\"ç"', '\t[ -0.0E+1 ,\r\n false ]', '{"a":{"b":[{}]},"c":""}'];
  const bad = ['', '{', '[1,]', '{"a":1,}', '{a:1}', "{'a':1}", '01', '1.', '.5', '+1', 'tru', 'nulls',
    '"\t"', '"\\x"', '"\\u12g4"', '"', '[1 2]', '{"a" 1}', '{"a":}', '[', ']', 'NaN', '1 1', '\u00a01'];

  it.each(good)('accepts %j, as the engine does', (text) => {
    expect(() => JSON.parse(text) as unknown).not.toThrow();
    expect(checkJson(text)).toBeNull();
  });

  it.each(bad)('refuses %j, as the engine does', (text) => {
    expect(() => JSON.parse(text) as unknown).toThrow();
    expect(checkJson(text)).not.toBeNull();
  });

  it('says where it is wrong', () => {
    expect(checkJson('{\n  "a": 1,\n  b: 2\n}')).toEqual({ line: 3, column: 3, atEnd: false });
    expect(checkJson('{"a": tru}')).toEqual({ line: 1, column: 7, atEnd: false });
    expect(checkJson('[1,\n2,\n]')).toEqual({ line: 3, column: 1, atEnd: false });
  });

  it('names the end when something is missing there', () => {
    expect(checkJson('{"a": 1')).toEqual({ line: 1, column: 8, atEnd: true });
    expect(checkJson('["abc')).toEqual({ line: 1, column: 6, atEnd: true });
  });

  it('survives a very deep value', () => {
    expect(checkJson('['.repeat(100_000))).not.toBeNull();
  });
});

describe('indentJson', () => {
  it('changes white space only', () => {
    const text = '{"a":1.0,"n":12345678901234567890,"s":"x, {y}: \\"z\\"","e":[],"o":{ },"l":[1,{"b":null}]}';
    const indented = indentJson(text);
    expect(indented).toBe(
      '{\n  "a": 1.0,\n  "n": 12345678901234567890,\n  "s": "x, {y}: \\"z\\"",\n  "e": [],\n' +
      '  "o": {},\n  "l": [\n    1,\n    {\n      "b": null\n    }\n  ]\n}');
    expect(indentJson(indented)).toBe(indented);
  });
});

describe('publishBody', () => {
  it('keeps data as it was typed and leaves empty fields out', () => {
    expect(publishBody({ channel: 'a"b', type: '', tenant: '' }, ' {"n": 1.0} '))
      .toBe('{"channel":"a\\"b","data":{"n": 1.0}}');
  });
});

describe('commands', () => {
  const fields = { channel: 'demo:hello', type: 'message.new', tenant: '', data: '{"text": "it\'s"}' };

  it('quotes for a shell', () => {
    expect(quote('demo:hello')).toBe('demo:hello');
    expect(quote("it's")).toBe(`'it'\\''s'`);
    expect(quote('')).toBe(`''`);
    expect(quote('$HOME')).toBe(`'$HOME'`);
  });

  it('writes the request as curl, and names the key without showing it', () => {
    expect(curlCommand('http://127.0.0.1:8000', fields, false)).toBe(
      'curl http://127.0.0.1:8000/api/publish \\\n' +
      `  -d '{"channel":"demo:hello","type":"message.new","data":{"text": "it'\\''s"}}'`);
    expect(curlCommand('http://h', fields, true)).toContain('-H "X-API-Key: $RECADO_API_KEY"');
  });

  it('writes it as recado publish, naming the server where it is not the usual one', () => {
    expect(recadoCommand('http://127.0.0.1:8000', { ...fields, data: '{\n  "a": 1\n}' }, false))
      .toBe(`recado publish --channel demo:hello --type message.new '{ "a": 1 }'`);
    expect(recadoCommand('https://hub.example', { ...fields, tenant: 'acme' }, true))
      .toMatch(/^recado publish --server https:\/\/hub\.example --api-key "\$RECADO_API_KEY" --tenant acme /);
  });
});
