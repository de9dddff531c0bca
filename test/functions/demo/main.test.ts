import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';

describe('npm run demo', () => {
  it('npm run demo shows copy, reuse, moved tag and outage with the real webhook, and exits with 0', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'functions/demo/main.ts']);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }

    const code = await new Promise<number | null>((resolve) => {
      child.once('close', resolve);
    });

    assert.equal(code, 0, output);
    const lines = [
      /^1\. Apply a Deployment$/m,
      /^ {4}webhook log: copying, \d+ % of 12 MiB$/m,
      /^ {4}webhook: 504 container "web": still copying \S+: \d+ %, \S+ of 12 MiB(, .+)?$/m,
      /^ {4}replace \/spec\/template\/spec\/containers\/0\/image "\S+\/backups\/\S+:1\.27"$/m,
      /^ {2}✔ the backup holds :1\.27 :1\.27\.[0-9a-f]{12} with both platforms and the digest of the original$/m,
      /^2\. Apply the same image again$[^]*: 0 bytes copied$/m,
      /keeps the old generation: :1\.27 :1\.27\.[0-9a-f]{12} :1\.27\.[0-9a-f]{12}$/m,
      /^ {2}Warning: using the backup/m,
      /^ {2}✔ the Deployment is admitted with \S+\/backups\/\S+:1\.27$/m,
    ];
    for (const line of lines) assert.match(output, line);
    assert.ok(!output.includes('\u001b['), 'no colours in a pipe');
  });
});
