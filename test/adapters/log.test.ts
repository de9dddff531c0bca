import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogger } from '../../lib/adapters/log.ts';

function logged(format: 'json' | 'pretty', fields: Readonly<Record<string, unknown>>): string {
  let text = '';
  const write = (line: string): void => {
    text += line;
  };
  createLogger({ level: 'info', format, write }).info(fields, 'review answered');
  return text;
}

describe('createLogger', () => {
  it('writes one JSON object per log line', () => {
    const line: unknown = JSON.parse(logged('json', { uid: 'u', ms: 7 }));

    assert.ok(typeof line === 'object' && line !== null && 'time' in line);
    assert.deepEqual(
      { ...line, time: '' },
      { level: 'info', time: '', uid: 'u', ms: 7, msg: 'review answered' },
    );
  });

  it('writes a readable log line with LOG_FORMAT=pretty', () => {
    const line = logged('pretty', { uid: 'u-1', text: 'two words' });

    assert.match(line, /^\d\d:\d\d:\d\d info {2}review answered uid=u-1 text="two words"\n$/);
  });

  for (const format of ['json', 'pretty'] as const) {
    it(`escapes characters in the log that terminals interpret (${format})`, () => {
      const line = logged(format, { reason: 'a\u001b[31m\u009b31m\u202egnp\u2028b' });

      // oxlint-disable-next-line no-control-regex -- the test searches for them
      assert.doesNotMatch(line.trimEnd(), /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
      assert.match(line, /\\u009b31m\\u202egnp/);
    });
  }

  it('logs an error with its causes and without request headers', () => {
    const cause = Object.assign(new Error('inner'), { code: 'ECONNRESET', headers: 's3cret' });
    const line = logged('json', { err: new Error('outer', { cause }) });

    assert.match(line, /"message":"outer"/);
    assert.match(line, /"cause":\{"type":"Error","message":"inner","code":"ECONNRESET"/);
    assert.doesNotMatch(line, /s3cret/);
  });

  it('logs a stack only for an error that is a bug', () => {
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });

    assert.doesNotMatch(logged('json', { err: refused }), /"stack"/);
    assert.match(
      logged('json', { err: new TypeError('undefined is no function') }),
      /"stack":"TypeError/,
    );
  });
});
