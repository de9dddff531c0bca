import { setTimeout as delay } from 'node:timers/promises';
import { createTempDir } from '../../real/support/janitor.ts';
import { findFreePort } from '../../real/support/port.ts';
import { launchProcess } from '../../real/support/process.ts';
import { probe } from '../../real/support/request.ts';
import { type Bench, bundle } from '../bench.ts';
import { compare, report, time } from '../figures.ts';

const pollMs = 2;

/** The least that a server does, without a loader or a bundle. */
const bareServer = `
require('node:http')
  .createServer((incoming, outgoing) => outgoing.end('OK'))
  .listen(Number(process.env.PORT), '127.0.0.1');
`;

/** From the start of the process to the first `/readyz` 200, with an empty folder for temporary files, as in the image. */
export async function benchStart(bench: Bench): Promise<void> {
  const [ours, bare] = [[] as number[], [] as number[]];
  // The first pair fills the page cache.
  for (let round = 0; round <= bench.rounds * 4; round += 1) {
    const seconds = {
      bare: await timeStart([process.execPath, '--eval', bareServer], {}),
      ours: await timeStart(bundle, bench.settings('start')),
    };
    if (round === 0) continue;
    bare.push(seconds.bare * 1_000);
    ours.push(seconds.ours * 1_000);
  }
  report(compare('start to first /readyz 200', ours, [{ name: 'node:http', values: bare }], 'ms'));
}

async function timeStart(
  [program, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const port = await findFreePort();
  const dir = createTempDir('start');
  const start = (): ReturnType<typeof launchProcess> =>
    launchProcess({
      program,
      args,
      dir,
      env: { ...env, PORT: String(port), TMPDIR: createTempDir('tmp') },
    });
  let running: ReturnType<typeof start> | undefined;
  const seconds = await time(async () => {
    running = start();
    while ((await probe(`http://127.0.0.1:${port}/readyz`)) !== 200) await delay(pollMs);
  });
  await running?.stop();
  return seconds;
}
