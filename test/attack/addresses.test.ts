import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  answer,
  changeHeaders,
  changeLocation,
  on,
  redirect,
} from '../../lib/memory-registry/index.ts';
import { openPod, type Pod, passwords } from './pod.ts';

let pod: Pod;
beforeEach(async () => {
  pod = await openPod();
});
afterEach(async () => {
  await pod.close();
});

/** Targets of a hostile registry. `CANARY` and `PORT` stand for the canary on the pod's loopback. */
const addresses = [
  ['cloud metadata', 'http://169.254.169.254/latest/meta-data/iam/'],
  ['cloud metadata in IPv6', 'http://[fd00:ec2::254]/latest/meta-data/'],
  ['cloud metadata as an IPv4 address in IPv6', 'http://[::ffff:169.254.169.254]/'],
  ['the API server', 'https://CANARY/api/v1/namespaces/kube-system/secrets'],
  ['a service in the pod', 'http://CANARY/'],
  ['a service in the pod, with a user', 'http://admin:admin@CANARY/'],
  ['a service in the pod, without a scheme', '//CANARY/'],
  ['loopback by name', 'http://localhost:PORT/'],
  ['loopback by a longer name', 'http://x.localhost:PORT/'],
  ['loopback as a number', 'http://2130706433:PORT/'],
  ['loopback in hex', 'http://0x7f000001:PORT/'],
  ['loopback, shortened', 'http://127.1:PORT/'],
  ['loopback in IPv6', 'http://[::ffff:127.0.0.1]:PORT/'],
  ['any address', 'http://0.0.0.0:PORT/'],
  ['a unix socket', 'unix:///var/run/docker.sock'],
  ['a unix socket over http', 'http+unix://%2Fvar%2Frun%2Fdocker.sock/containers/json'],
  ['a file', 'file:///etc/passwd'],
  ['a header of its own', 'http://CANARY/%0d%0aHost:%20metadata%0d%0a%0d%0a'],
  ['an invalid URL', 'http://[/'],
] as const;

function aim(address: string): string {
  const [, port = ''] = pod.canary.split(':');
  return address.replace('CANARY', pod.canary).replace('PORT', port);
}

function assertUnharmed(): void {
  assert.deepEqual(pod.reached, []);
  for (const password of Object.values(passwords)) {
    for (const secret of [password, btoa(`acme:${password}`)]) {
      assert.ok(!pod.said().includes(secret), pod.said());
    }
  }
}

for (const [what, address] of addresses) {
  describe(`a registry that redirects to ${what}`, () => {
    it(`does not follow a manifest redirect to ${what}`, async () => {
      pod.source.faults.add(
        on('HEAD', 'manifest'),
        redirect(() => aim(address)),
      );

      const { allowed } = await pod.apply();

      assert.equal(allowed, false);
      assertUnharmed();
    });

    it(`does not follow a layer redirect to ${what}`, async () => {
      pod.source.faults.add(
        on('GET', 'blob'),
        redirect(() => aim(address)),
      );

      const { allowed } = await pod.apply();

      assert.equal(allowed, false);
      assertUnharmed();
      assert.deepEqual(pod.backup.store.tags(`acme/${pod.source.host}/app`), []);
    });

    it(`sends no password to a token realm at ${what}`, async () => {
      const challenge = `Bearer realm="${aim(address)}",service="x",scope="repository:app:pull"`;
      pod.source.faults.add(
        () => true,
        answer(401, { headers: { 'www-authenticate': challenge } }),
        { beforeAuth: true },
      );

      const { allowed } = await pod.apply();

      assert.equal(allowed, false);
      assertUnharmed();
    });

    it(`uploads no layer to a Location at ${what}`, async () => {
      pod.backup.faults.add(
        on('POST', 'uploads'),
        changeLocation(() => aim(address)),
      );

      const { allowed } = await pod.apply();

      assert.equal(allowed, false);
      assertUnharmed();
    });

    it(`does not follow a Link header to ${what}`, async () => {
      const link = changeHeaders({ link: `<${aim(address)}>; rel="next"` });
      pod.source.faults.add(() => true, link);
      pod.backup.faults.add(() => true, link);

      const { allowed } = await pod.apply();

      assert.equal(allowed, true);
      assertUnharmed();
    });
  });
}

describe('credentials of two registries', () => {
  it('sends each registry its own password only', async () => {
    await pod.apply();

    const sent = (registry: Pod['source']): string =>
      JSON.stringify(registry.requests.list().map(({ headers, path }) => [[...headers], path]));
    const mine = (password: string): string => btoa(`acme:${password}`);
    assert.ok(sent(pod.source).includes(mine(passwords.source)));
    assert.ok(!sent(pod.source).includes(mine(passwords.backup)));
    assert.ok(sent(pod.backup).includes(mine(passwords.backup)));
    assert.ok(!sent(pod.backup).includes(mine(passwords.source)));
  });
});
