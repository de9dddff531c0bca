import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { Agent, type AgentOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { makeCertificate, makeClientCa } from '../../support/certificate.ts';
import { entranceCommand } from '../../support/entrance-command.ts';
import { type FakeDaemon, startFakeDaemon } from '../../support/fake-daemon.ts';

const password = 's3"cr\\et+/é';

/** Runs the real process with a fake docker daemon. */
describe('functions/webhook/main.ts', () => {
  let dir: string;
  let daemon: FakeDaemon;
  const children: ChildProcess[] = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'main-'));
    daemon = await startFakeDaemon();
    daemon.registries.set('public.test', { tags: new Map() });
    daemon.registries.set('backup.test', {
      tags: new Map(),
      user: { username: 'acme', password },
    });
    await writeFile(join(dir, 'username'), 'acme\n');
    await writeFile(join(dir, 'password'), `${password}\n`);
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  after(async () => {
    await daemon.close();
    await rm(dir, { recursive: true });
  });

  interface Running {
    readonly child: ChildProcess;
    /** stdout and stderr so far. */
    readonly output: () => string;
    /** Resolves when the output contains the text. */
    readonly waitFor: (text: string) => Promise<string>;
    readonly exit: Promise<number | null>;
  }

  function start(
    env: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
  ): Running {
    const command = entranceCommand('webhook');
    const child = spawn(process.execPath, [...command.args, ...args], {
      env: {
        ...command.env,
        REGISTRY: 'backup.test',
        REGISTRY_AUTH_DIR: dir,
        DOCKER_HOST: `unix://${daemon.socketPath}`,
        PORT: '1',
        LOG_LEVEL: 'trace',
        DEBUG: '*',
        ...env,
      },
    });
    children.push(child);
    let output = '';
    const watchers: (() => void)[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        for (const watch of watchers) watch();
      });
    }
    const exit = new Promise<number | null>((resolve) => {
      child.once('close', resolve);
    });
    const waitFor = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const watch = (): void => {
          if (output.includes(text)) resolve(output);
        };
        watchers.push(watch);
        watch();
        void exit.then(() =>
          reject(new Error(`the process ended without printing ${text}:\n${output}`)),
        );
      });
    return { child, output: () => output, waitFor, exit };
  }

  async function freePort(): Promise<string> {
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<string>();
    server.listen(0, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? String(address.port) : '');
    });
    const port = await promise;
    server.close();
    return port;
  }

  function review(port: string, image: string): Promise<Response> {
    const object = { metadata: {}, spec: { containers: [{ name: 'web', image }] } };
    const body = {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'u',
        kind: { group: '', version: 'v1', kind: 'Pod' },
        operation: 'CREATE',
        object,
      },
    };
    return fetch(`http://127.0.0.1:${port}/clone-image`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  it('copies through the docker socket and never logs the password', async () => {
    daemon.publish('public.test', 'team/app', '1');
    const port = await freePort();
    const { waitFor, output, child, exit } = start({ PORT: port });
    await waitFor('"ready"');

    const response = await review(port, 'public.test/team/app:1');

    assert.equal(response.status, 200);
    assert.match(await response.text(), /"allowed":true,"patchType":"JSONPatch"/);
    assert.ok(daemon.registries.get('backup.test')?.tags.has('acme/public.test__team__app:1'));
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
    const secrets = [password, JSON.stringify(password).slice(1, -1), btoa('acme:')];
    const header = Buffer.from(JSON.stringify({ username: 'acme', password })).toString('base64');
    for (const secret of [...secrets, header.slice(0, 24)]) {
      assert.ok(!output().includes(secret), secret);
    }
  });

  it('the webhook names its version, cloner and backup in one line at start', async () => {
    const { waitFor } = start({ PORT: await freePort() });

    const output = await waitFor('"ready"');

    const [ready = ''] = output.split('\n').filter((line) => line.includes('"ready"'));
    assert.match(ready, /"version":"\d+\.\d+\.\d+"/);
    assert.match(ready, /"cloner":"docker","backup":"backup\.test\/acme"/);
  });

  it('shows a docker daemon that goes away in /readyz and /metrics, and stays ready', async () => {
    const own = await startFakeDaemon();
    const port = await freePort();
    const { waitFor } = start({ PORT: port, DOCKER_HOST: `unix://${own.socketPath}` });
    await waitFor('"ready"');
    const probe = async (path: string): Promise<string> =>
      await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    assert.equal(await probe('/readyz'), 'OK');

    await own.close();
    await review(port, 'public.test/team/app:1');
    await waitFor('the docker daemon does not answer"');

    assert.equal(await probe('/readyz'), 'OK\nthe docker daemon did not answer the last ping');
    assert.match(await probe('/metrics'), /^image_cloner_daemon_up 0$/m);
  });

  it('the webhook responds to pending reviews on SIGTERM, finishes the copy and exits with 0', async () => {
    daemon.publish('public.test', 'team/slow', '1');
    const pulled = Promise.withResolvers<() => void>();
    daemon.override(/create\?fromImage=public\.test\/team\/slow/, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      pulled.resolve(() => response.end('{"errorDetail":{"message":"manifest unknown"}}\n'));
    });
    const port = await freePort();
    const { waitFor, child, exit } = start({ PORT: port });
    await waitFor('"ready"');
    const answer = review(port, 'public.test/team/slow:1');
    const finish = await pulled.promise;

    child.kill('SIGTERM');
    await waitFor('"draining"');
    await assert.rejects(fetch(`http://127.0.0.1:${port}/readyz`));
    finish();

    assert.match(await (await answer).text(), /does not exist on public\.test/);
    assert.equal(await exit, 0);
  });

  it('serves HTTPS by flags and reloads the certificate without closing a connection', async () => {
    const [certFile, keyFile] = [join(dir, 'tls.crt'), join(dir, 'tls.key')];
    async function install(serial: string): Promise<void> {
      const { cert, key } = await makeCertificate(serial);
      await writeFile(`${keyFile}.new`, key);
      await writeFile(`${certFile}.new`, cert);
      await rename(`${keyFile}.new`, keyFile);
      await rename(`${certFile}.new`, certFile);
    }
    await install('01');
    const port = await freePort();
    const flags = ['--tls-cert-file', certFile, '--tls-private-key-file', keyFile, '--port', port];
    const { waitFor } = start({}, flags);
    await waitFor('"https":true');
    const kept = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    assert.equal(await serialOf(port, kept), '01');

    await install('02');
    await waitFor('certificate loaded');
    let fresh = await serialOf(port, new Agent({ rejectUnauthorized: false }));
    while (fresh !== '02') fresh = await serialOf(port, new Agent({ rejectUnauthorized: false }));

    assert.equal(await serialOf(port, kept), '01');
    kept.destroy();
  });

  it('serves plain HTTP for probes beside TLS_PORT and drains both ports', async () => {
    const [port, tlsPort] = [await freePort(), await freePort()];
    const files = await installPair('both', '01');
    const { waitFor, child, exit } = start({ ...files, PORT: port, TLS_PORT: tlsPort });
    await waitFor('"ready"');

    const rejected = await review(port, 'public.test/team/app:1');
    assert.equal(rejected.status, 403);
    assert.equal(
      await rejected.text(),
      `AdmissionReviews are accepted only over HTTPS, on port ${tlsPort}\n`,
    );
    assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /^image_cloner_certificate_expiry_timestamp_seconds \d{10}$/m);
    for (const variable of ['REGISTRY_AUTH_DIR', 'TLS_CERT_FILE'])
      assert.ok(metrics.includes(`\nimage_cloner_stale_files{variable="${variable}"} 0\n`));
    const agent = new Agent({ rejectUnauthorized: false });
    assert.equal(await serialOf(tlsPort, agent), '01');

    child.kill('SIGTERM');
    assert.equal(await exit, 0);
  });

  it('keeps the last valid CA of TLS_CLIENT_CA_FILE when the file becomes invalid', async () => {
    const port = await freePort();
    const clients = await makeClientCa();
    const clientCaFile = join(dir, 'client-ca.crt');
    await writeFile(clientCaFile, clients.ca);
    const files = await installPair('clients', '01');
    const { waitFor } = start({ ...files, PORT: port, TLS_CLIENT_CA_FILE: clientCaFile });
    await waitFor('"ready"');
    const anonymous = { rejectUnauthorized: false };
    const known = { ...anonymous, ...(await clients.issue()) };
    assert.deepEqual([await statusOf(port, anonymous), await statusOf(port, known)], [403, 400]);

    await writeFile(clientCaFile, 'nothing');
    await waitFor('certificate cannot be loaded: the last valid one stays in use');
    assert.deepEqual([await statusOf(port, anonymous), await statusOf(port, known)], [403, 400]);

    const next = await makeClientCa();
    await writeFile(clientCaFile, next.ca);
    await waitFor('certificate loaded');
    const renewed = { ...anonymous, ...(await next.issue()) };
    assert.deepEqual([await statusOf(port, known), await statusOf(port, renewed)], [403, 400]);
  });

  /** Writes a certificate and its key. Resolves with the variables that name the files. */
  async function installPair(
    name: string,
    serial: string,
  ): Promise<{ TLS_CERT_FILE: string; TLS_PRIVATE_KEY_FILE: string }> {
    const { cert, key } = await makeCertificate(serial);
    const [certFile, keyFile] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    return { TLS_CERT_FILE: certFile, TLS_PRIVATE_KEY_FILE: keyFile };
  }

  const failures: readonly {
    readonly what: string;
    readonly env: () => Readonly<Record<string, string>>;
    readonly code: number;
    readonly patterns: readonly RegExp[];
  }[] = [
    {
      what: 'several wrong variables, which it reports at once',
      env: () => ({ ON_ERROR: 'maybe', MAX_CLONES: '0', ON_DEADLIN: 'retry' }),
      code: 2,
      patterns: [
        /^image-cloner: ON_ERROR must be deny or admit$/m,
        /^image-cloner: MAX_CLONES must be a whole number from 1 to 64$/m,
        /^image-cloner: ON_DEADLIN is not known; did you mean ON_DEADLINE\?$/m,
      ],
    },
    {
      what: 'no credentials and no socket, which it reports at once',
      env: () => ({ REGISTRY_AUTH_DIR: join(dir, 'none'), DOCKER_HOST: 'unix:///none.sock' }),
      code: 2,
      patterns: [
        /none\/username cannot be used: it does not exist; mount the Secret registry-auth/,
        /there is no docker socket at \/none\.sock/,
      ],
    },
    {
      what: 'wrong variables, missing files and a missing socket, which it reports at once',
      env: () => ({
        ON_ERROR: 'maybe',
        TLS_PORT: '1',
        REGISTRY_AUTH_DIR: join(dir, 'none'),
        SOURCE_AUTH_FILE: join(dir, 'none.json'),
        DOCKER_HOST: 'unix:///none.sock',
        TLS_CERT_FILE: join(dir, 'none.crt'),
        TLS_PRIVATE_KEY_FILE: join(dir, 'none.key'),
        TLS_CLIENT_CA_FILE: join(dir, 'username'),
      }),
      code: 2,
      patterns: [
        /^image-cloner: ON_ERROR must be deny or admit$/m,
        /^image-cloner: TLS_PORT must differ from PORT: 1 cannot be both HTTPS and plain http$/m,
        /^image-cloner: \S+none\/username cannot be used: it does not exist/m,
        /^image-cloner: SOURCE_AUTH_FILE \S+none\.json cannot be used: it does not exist; mount a docker config\.json there, or unset SOURCE_AUTH_FILE$/m,
        /^image-cloner: DOCKER_HOST: there is no docker socket at \/none\.sock/m,
        /^image-cloner: \S+none\.crt cannot be read \(ENOENT\): HTTPS needs it$/m,
        /^image-cloner: TLS_CLIENT_CA_FILE \S+username is not a readable file of certificates in PEM$/m,
      ],
    },
    {
      what: 'a wrong CLONER, and reports no missing socket',
      env: () => ({ CLONER: 'podman', DOCKER_HOST: 'unix:///none.sock' }),
      code: 2,
      patterns: [/^image-cloner: CLONER must be docker or registry\n$/],
    },
    {
      what: 'a socket that is a file',
      env: () => ({ DOCKER_HOST: `unix://${join(dir, 'username')}` }),
      code: 2,
      patterns: [/username is not a socket; set it to the socket of a docker daemon$/m],
    },
    {
      what: 'a file that is no certificate',
      env: () => ({
        TLS_CERT_FILE: join(dir, 'username'),
        TLS_PRIVATE_KEY_FILE: join(dir, 'password'),
      }),
      code: 2,
      patterns: [/are not a certificate and its private key in PEM$/m],
    },
    {
      what: 'a username that cannot be a namespace',
      env: () => ({ REGISTRY_AUTH_DIR: join(dir, 'robot') }),
      code: 2,
      patterns: [/REGISTRY_NAMESPACE must be set: the username "robot\$team"/],
    },
  ];
  before(async () => {
    const robot = join(dir, 'robot');
    await mkdir(robot);
    await writeFile(join(robot, 'username'), 'robot$team');
    await writeFile(join(robot, 'password'), 'p');
  });
  for (const { what, env, code, patterns } of failures) {
    it(`the webhook exits with ${code} at its start with ${what}`, async () => {
      const { exit, output } = start(env());

      assert.equal(await exit, code);
      for (const pattern of patterns) assert.match(output(), pattern);
    });
  }

  it('the webhook exits with 0 on SIGTERM during its start', async () => {
    // The process sends itself SIGTERM when it installs the handler. As process 1 of a container it would ignore the signal without.
    const early = `process.on('newListener', (name) => name === 'SIGTERM' && process.kill(process.pid, name))`;
    const { exit, output } = start({
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(early)}`,
      PORT: await freePort(),
    });

    assert.equal(await exit, 0);
    assert.doesNotMatch(output(), /"ready"/);
  });

  it('the webhook continues when the reader of its log is gone', async () => {
    daemon.publish('public.test', 'team/unread', '1');
    const port = await freePort();
    const { waitFor, child, exit } = start({ PORT: port });
    await waitFor('"ready"');
    child.stdout?.destroy();
    child.stderr?.destroy();

    for (const attempt of [1, 2, 3]) {
      const response = await review(port, 'public.test/team/unread:1');
      assert.match(await response.text(), /"allowed":true/, String(attempt));
    }
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
  });

  it('the webhook reports a port in use and exits with 1', async () => {
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<number>();
    server.listen(0, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
    const port = await promise;

    const { exit, output } = start({ PORT: String(port) });

    assert.equal(await exit, 1);
    assert.match(
      output(),
      /^image-cloner: port \d+ is in use by another process: choose another one with PORT/m,
    );
    server.close();
  });

  it('the webhook reports an unknown flag, the usage and wrong variables together', async () => {
    const { exit, output } = start({ ON_ERROR: 'maybe' }, ['--prot', '1']);

    assert.equal(await exit, 2);
    assert.match(output(), /^image-cloner: usage: image-cloner webhook \[OPTION…\]; /m);
    assert.match(output(), /^image-cloner: ON_ERROR must be deny or admit$/m);
  });

  it('the webhook prints its usage for --help', async () => {
    const { exit, output } = start({}, ['--help']);

    assert.equal(await exit, 0);
    assert.match(output(), /^Usage: image-cloner webhook \[OPTION…\]\n[^]*--port N/);
  });
});

/** The serial number of the certificate of the server. */
function serialOf(port: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: '/readyz', agent }, (response) => {
      const { socket } = response;
      const serialNumber =
        socket instanceof TLSSocket ? socket.getPeerCertificate().serialNumber : 'plain http';
      response.resume().on('end', () => resolve(serialNumber));
    });
    sent.once('error', reject).end();
  });
}

/** The status of a POST with an empty object, on a new connection. */
function statusOf(port: string, options: AgentOptions): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const agent = new Agent(options);
    const where = { host: '127.0.0.1', port, path: '/clone-image', method: 'POST', headers, agent };
    const sent = request(where, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    sent.once('error', reject).end('{}');
  });
}
