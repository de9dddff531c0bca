import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAuthDir } from '../real/support/auth-dir.ts';
import { type DockerDaemon, startDockerDaemon } from '../real/support/docker-daemon.ts';
import { type Registry, startRegistry } from '../real/support/docker-registry.ts';
import { pushImage } from '../real/support/images.ts';
import { createTempDir } from '../real/support/janitor.ts';
import { findFreePort } from '../real/support/port.ts';
import { startProcess } from '../real/support/process.ts';
import { runOrThrow } from '../real/support/program.ts';
import { probe } from '../real/support/request.ts';
import { createTls } from '../real/support/tls.ts';
import { startWebhook, type Webhook } from '../real/support/webhook.ts';
import { compare, time } from './figures.ts';

// Ratios of programs that run alternately on one machine; not a test. Needs `npm run build`, root, and what test:real needs.
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '256' },
  },
});
const rounds = Number(values.rounds);
const bytes = Number(values.mebibytes) * 1024 * 1024;
const user = { name: 'acme', password: 'bench' };
const reviewFile = 'test/fixtures/reviews/deployment-create.json';
const bundle = [process.execPath, 'dist/webhook.js'] as const;

const [source, backup] = await Promise.all([startRegistry(), startRegistry({ users: [user] })]);
const daemon = await startDockerDaemon();
const authDir = await createAuthDir(user);
try {
  await benchCopies(source, backup, daemon);
  await benchMemory(source);
  await benchStart();
  await benchReviews();
} finally {
  await Promise.all([daemon.stop(), source.stop(), backup.stop()]);
}

function start(cloner: 'docker' | 'registry', namespace: string): Promise<Webhook> {
  return startWebhook({
    command: bundle,
    env: {
      CLONER: cloner,
      DOCKER_HOST: daemon.dockerHost,
      REGISTRY: backup.host,
      REGISTRY_NAMESPACE: namespace,
      REGISTRY_AUTH_DIR: authDir,
      LOG_LEVEL: 'warn',
    },
  });
}

async function benchCopies(from: Registry, to: Registry, docker: DockerDaemon): Promise<void> {
  const [ours, through] = [await start('registry', 'ours'), await start('docker', 'docker')];
  const seconds = { ours: [] as number[], skopeo: [] as number[], docker: [] as number[] };
  for (let round = 0; round <= rounds; round += 1) {
    const path = `library/big-${round}`;
    await pushImage(from, `${path}:1`, { bytes, seed: `round ${round}` });
    const image = `${from.host}/${path}:1`;
    const bySkopeo = [
      'copy',
      '--quiet',
      '--all',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `--dest-creds=${user.name}:${user.password}`,
      `docker://${image}`,
      `docker://${to.host}/skopeo/big-${round}:1`,
    ];
    const took = {
      ours: await time(() => clone(ours, image)),
      skopeo: await time(() => runOrThrow('skopeo', bySkopeo)),
      docker: round > 1 ? undefined : await time(() => clone(through, image)),
    };
    // The first round is a warm-up.
    if (round === 0) continue;
    seconds.ours.push(took.ours);
    seconds.skopeo.push(took.skopeo);
    if (took.docker !== undefined) seconds.docker.push(took.docker);
  }
  const what = `copy of ${values.mebibytes} MiB`;
  report(compare(what, seconds.ours, { name: 'skopeo', values: seconds.skopeo }, 's'));
  report(compare(what, seconds.ours.slice(0, 1), { name: 'docker', values: seconds.docker }, 's'));

  await Promise.all([from.forgetRequests(), to.forgetRequests()]);
  await clone(ours, `${from.host}/library/big-${rounds}:1`);
  const requests = [...(await from.requests()), ...(await to.requests())];
  report(`${'nothing to copy'.padEnd(34)} ${requests.length} requests (bar: 4)`);
  await Promise.all([ours.stop(), through.stop(), docker.cli(['image', 'prune', '--force'])]);
}

/** Peak memory of the process, as the kernel reports it. */
async function benchMemory(from: Registry): Promise<void> {
  const webhook = await start('registry', 'memory');
  const size = 1024 * 1024 * 1024;
  await pushImage(from, 'library/huge:1', { bytes: size, seed: 'huge' });
  await clone(webhook, `${from.host}/library/huge:1`);
  report(`${'peak memory, 1 GiB'.padEnd(34)} ${await peakMebibytes(webhook)} MiB (bar: 150)`);
  const four = ['a', 'b', 'c', 'd'].map((name) => `library/quarter-${name}:1`);
  for (const name of four) await pushImage(from, name, { bytes: size / 4, seed: name });
  await Promise.all(four.map((name) => clone(webhook, `${from.host}/${name}`)));
  report(
    `${'peak memory, then four at once'.padEnd(34)} ${await peakMebibytes(webhook)} MiB (bar: 150)`,
  );
  await webhook.stop();
}

async function benchStart(): Promise<void> {
  const [ours, bare] = [[] as number[], [] as number[]];
  for (let round = 0; round < rounds * 2; round += 1) {
    bare.push(await time(() => runOrThrow('node', ['-e', '0'])));
    const port = await findFreePort();
    let webhook: Webhook | undefined;
    ours.push(
      await time(async () => {
        webhook = await startWebhook({
          command: bundle,
          port,
          env: { CLONER: 'registry', REGISTRY: backup.host, REGISTRY_AUTH_DIR: authDir },
        });
      }),
    );
    await webhook?.stop();
  }
  report(compare('start to first /readyz 200', ours, { name: 'node -e 0', values: bare }, 's'));
  report(`${''.padEnd(34)} (polled every 25 ms until the first response)`);
}

/** Reviews of a workload whose images are in the backup: answered without a registry request. */
async function benchReviews(): Promise<void> {
  const tls = await createTls();
  const port = await findFreePort();
  const bare = await startProcess({
    program: process.execPath,
    args: ['--import', 'tsx', 'test/bench/bare-server.ts', String(port), tls.certFile, tls.keyFile],
    dir: createTempDir('bare'),
    isReady: async () => (await probe(`https://127.0.0.1:${port}/`, { ca: tls.ca })) === 200,
  });
  const webhook = await startWebhook({
    command: bundle,
    tls,
    env: {
      CLONER: 'registry',
      REGISTRY: backup.host,
      REGISTRY_AUTH_DIR: authDir,
      LOG_LEVEL: 'warn',
    },
  });
  const script = join(createTempDir('wrk'), 'review.lua');
  await writeFile(script, toLua(await readFile(reviewFile, 'utf8')));
  const [ours, other] = [[] as number[], [] as number[]];
  for (let round = 0; round < rounds; round += 1) {
    other.push(await requestsPerSecond(`https://127.0.0.1:${port}/clone-image`, script));
    ours.push(await requestsPerSecond(`${webhook.url}/clone-image`, script));
  }
  report(compare('reviews, https, 16 connections', ours, { name: 'bare', values: other }, '/s'));
  await Promise.all([webhook.stop(), bare.stop()]);
}

/** A recorded review whose images are in the backup. */
function toLua(review: string): string {
  const body = review.replaceAll(/("image": ")[^"]+"/g, `$1${backup.host}/acme/nginx:1.27"`);
  return [
    'wrk.method = "POST"',
    'wrk.headers["Content-Type"] = "application/json"',
    `wrk.body = [==[${body}]==]`,
  ].join('\n');
}

async function requestsPerSecond(url: string, script: string): Promise<number> {
  const output = await runOrThrow('wrk', ['-t1', '-c16', '-d4s', '-s', script, url]);
  assert.ok(!output.includes('Non-2xx'), output);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
}

/** Sends the review until its response has a patch. */
async function clone(webhook: Webhook, image: string): Promise<void> {
  const object = { metadata: {}, spec: { containers: [{ name: 'web', image }] } };
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const request = { uid: 'bench', kind, operation: 'CREATE', object };
  for (;;) {
    const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
    const answer = await webhook.review(body, '30s');
    if (answer.body.includes('"patch"')) return;
    assert.ok(answer.body.includes('"code":504'), answer.body);
  }
}

async function peakMebibytes({ pid }: Webhook): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024);
}

function report(line: string): void {
  process.stdout.write(`${line}\n`);
}
