import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { openCaBundle } from '../../../../lib/adapters/registry/http/ca-bundle.ts';
import { createHttp, type Http } from '../../../../lib/adapters/registry/http/http.ts';
import { readBody } from '../../../../lib/adapters/registry/http/response.ts';
import { type CertificateAndKey, makeCertificate } from '../../../support/certificate.ts';
import { createMemoryLog, type MemoryLog } from '../../../support/memory-log.ts';

const { signal } = new AbortController();
const untrusted = {
  name: 'RegistryError',
  message:
    /^connecting to 127\.0\.0\.1:\d+: its certificate is self-signed; add it to REGISTRY_CA_FILE$/,
};

describe('openCaBundle', () => {
  let [one, other]: CertificateAndKey[] = [];
  let folder: string;
  let file: string;
  let log: MemoryLog;
  let staleStates: boolean[];
  let server: Server;
  let url: URL;
  let https: Http;
  /** Ends the response to `/slow`. */
  let finish = (): void => {};

  before(async () => {
    [one, other] = [await makeCertificate('01'), await makeCertificate('02')];
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trust-'));
    file = join(folder, 'ca.pem');
    await writeFile(file, one?.cert ?? '');
    log = createMemoryLog();
    server = createServer({ ...one }, (request, response) => {
      if (request.url !== '/slow') {
        response.end('here');
        return;
      }
      response.write('first ');
      finish = () => response.end('last');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    url = new URL(`https://127.0.0.1:${address.port}`);
    staleStates = [];
    const trust = await openCaBundle({
      file,
      logger: log.logger,
      onStale: (is) => staleStates.push(is),
    });
    https = createHttp({ configuredHosts: [], insideCluster: false, trust });
  });
  afterEach(async () => {
    await https.close();
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true });
  });

  async function get(path = '/'): Promise<string> {
    const answer = await https.send({
      method: 'GET',
      url: new URL(path, url),
      signal,
      step: 'asking',
    });
    return new TextDecoder().decode(await readBody(answer, 100, 'asking'));
  }

  /** A changed certificate needs a new connection. */
  function reissue(certificate: CertificateAndKey | undefined): void {
    server.setSecureContext({ ...certificate });
    server.closeAllConnections();
  }

  it('trusts the certificates in REGISTRY_CA_FILE', async () => {
    assert.equal(await get(), 'here');
  });

  it('trusts a certificate that is added to REGISTRY_CA_FILE at run time', async () => {
    assert.equal(await get(), 'here');
    reissue(other);
    await assert.rejects(get(), untrusted);

    await writeFile(file, other?.cert ?? '');

    assert.equal(await get(), 'here');
  });

  it('reads REGISTRY_CA_FILE again when the kubelet replaces its symbolic link', async () => {
    const [before, now] = [join(folder, '..1'), join(folder, '..2')];
    await writeFile(before, one?.cert ?? '');
    await writeFile(now, other?.cert ?? '');
    await unlink(file);
    await symlink(before, file);
    assert.equal(await get(), 'here');
    reissue(other);

    await unlink(file);
    await symlink(now, file);

    assert.equal(await get(), 'here');
  });

  it('does not trust a certificate that is removed from REGISTRY_CA_FILE, also on open connections', async () => {
    assert.equal(await get(), 'here');

    await writeFile(file, other?.cert ?? '');

    await assert.rejects(get(), untrusted);
  });

  it('finishes a response that began before REGISTRY_CA_FILE changed', async () => {
    const slow = await https.send({
      method: 'GET',
      url: new URL('/slow', url),
      signal,
      step: 'asking',
    });
    await writeFile(file, other?.cert ?? '');
    await assert.rejects(get(), untrusted);
    finish();

    const bytes = await readBody(slow, 100, 'asking');

    assert.equal(new TextDecoder().decode(bytes), 'first last');
  });

  it('keeps the last good certificates when REGISTRY_CA_FILE is broken, and logs it once', async () => {
    await writeFile(file, 'no certificate');
    assert.deepEqual([await get(), await get()], ['here', 'here']);
    await unlink(file);
    assert.equal(await get(), 'here');
    await writeFile(file, one?.cert ?? '');
    assert.equal(await get(), 'here');

    assert.deepEqual(staleStates, [false, true, false]);
    assert.deepEqual(
      log.lines.map(({ level, message, fields }) => [level, message, fields['name']]),
      [
        ['warn', 'certificates cannot be read, the last valid ones stay in use', file],
        ['info', 'certificates can be read again', file],
      ],
    );
  });

  const broken = [
    ['does not exist', undefined],
    ['holds no certificate', 'hello'],
    ['holds half a certificate', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'],
  ] as const;
  for (const [what, content] of broken) {
    it(`names REGISTRY_CA_FILE if it ${what} at start-up`, async () => {
      await unlink(file);
      if (content !== undefined) await writeFile(file, content);

      await assert.rejects(openCaBundle({ file, logger: log.logger }), {
        name: 'ConfigError',
        message: `REGISTRY_CA_FILE ${file} is not a readable file of certificates in PEM`,
      });
    });
  }
});
