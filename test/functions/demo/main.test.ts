import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';

describe('npm run demo', () => {
  it('tells the whole story with the real webhook, plain in a pipe, and ends by itself', async () => {
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
    const story = [
      /^1\. A Deployment is applied$/m,
      /^ {4}webhook: copying, \d+ % of 12\.0 MiB$/m,
      /^ {4}\(container "web": still copying \S+: \d+ %, \S+ of 12 MiB(, .+)?\)$/m,
      /^ {4}replace \/spec\/template\/spec\/containers\/0\/image "\S+\/backups\/\S+:1\.27"$/m,
      /^ {2}✔ the backup holds :1\.27 :1\.27\.[0-9a-f]{12}, both platforms, the same digest$/m,
      /^2\. The same image again$[^]*: 0 bytes moved$/m,
      /old generation is still there: :1\.27 :1\.27\.[0-9a-f]{12} :1\.27\.[0-9a-f]{12}$/m,
      /^ {2}Warning: using the backup of /m,
      /^ {2}✔ the Deployment is admitted all the same/m,
    ];
    for (const line of story) assert.match(output, line);
    assert.ok(!output.includes('\u001b['), 'colours in a pipe');
  });
});
