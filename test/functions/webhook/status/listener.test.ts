import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openStatusListener } from '../../../../functions/webhook/status/listener.ts';
import { createMemoryLog } from '../../../support/memory-log.ts';

describe('openStatusListener', () => {
  it('serves the status page on loopback, and goes on without one if the port is taken', async () => {
    const { logger, lines } = createMemoryLog();
    const readSections = (): readonly [{ title: string; lines: readonly string[] }] => [
      { title: 'image-cloner', lines: ['replica a'] },
    ];
    const first = await openStatusListener({ port: 0, readSections, logger });
    assert.ok(first !== undefined);

    const second = await openStatusListener({ port: first.port, readSections, logger });
    const response = await fetch(`http://127.0.0.1:${first.port}/status`);

    assert.equal(await response.text(), 'image-cloner\n  replica a\n');
    assert.equal(second, undefined);
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.message, 'no status page: STATUS_PORT cannot be opened');
    await first.close();
  });
});
