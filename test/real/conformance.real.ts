import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createMemoryRegistry, serveMemoryRegistry } from '../../lib/memory-registry/index.ts';
import { createTempDir } from './support/janitor.ts';
import { lookUpProgram, runProgram } from './support/program.ts';

/** `go install github.com/opencontainers/distribution-spec/conformance@latest` */
const suite = 'conformance';

if (lookUpProgram(suite) === undefined) {
  it('leaves out the conformance suite of the distribution specification', (t) =>
    t.diagnostic(`${suite} is not in PATH`));
} else {
  it('the memory registry passes the conformance suite of the distribution specification', async (t) => {
    const served = await serveMemoryRegistry({ registry: createMemoryRegistry() });

    const { code, stdout } = await runProgram(suite, [], {
      env: {
        OCI_REGISTRY: served.host,
        OCI_TLS: 'disabled',
        OCI_RESULTS_DIR: createTempDir('conformance'),
      },
    });
    await served.close();

    const count = (result: string): number =>
      Number(new RegExp(`^ *${result}\\.+: +(\\d+)$`, 'm').exec(stdout)?.[1]);
    t.diagnostic(`${count('Pass')} of ${count('Total')} checks pass, ${count('Skip')} are skipped`);
    assert.equal(code, 0, stdout);
    assert.deepEqual([count('FAIL'), count('Error')], [0, 0]);
    assert.ok(count('Pass') > 800);
  });
}
