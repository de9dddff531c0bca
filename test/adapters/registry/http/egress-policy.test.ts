import assert from 'node:assert/strict';
import type { LookupAddress, lookup as systemLookup } from 'node:dns';
import { describe, it } from 'node:test';
import {
  createEgressPolicy,
  type EgressPolicy,
  type EgressZone,
} from '../../../../lib/adapters/registry/http/egress-policy.ts';

/** DNS records; a test can change them, as an attacker can. */
type Names = Record<string, readonly string[]>;

function open(
  names: Names,
  options: { insideCluster?: boolean; configuredHosts?: string[] } = {},
): EgressPolicy {
  const { insideCluster = true, configuredHosts = [] } = options;
  const lookup: unknown = (
    hostname: string,
    _options: unknown,
    callback: (error: Error | null, addresses: LookupAddress[]) => void,
  ) => {
    const addresses = names[hostname];
    if (addresses === undefined)
      return callback(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  assert.ok(isLookup(lookup));
  return createEgressPolicy({ insideCluster, configuredHosts, lookup });
}

function isLookup(value: unknown): value is typeof systemLookup {
  return typeof value === 'function';
}

/** Resolves with the addresses, or with the error code. */
async function resolveHost(
  egress: EgressPolicy,
  zone: EgressZone,
  hostname: string,
): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  egress.lookup(zone)(hostname, { all: true }, (error, addresses) => {
    resolve(error === null ? addresses : error.code);
  });
  return await promise;
}

describe('createEgressPolicy, lookups', () => {
  const kinds = {
    'public.test': ['93.184.216.34'],
    'private.test': ['10.0.0.1'],
    'private6.test': ['fd00::1'],
    'loopback.test': ['127.0.0.1'],
    'mapped.test': ['::ffff:127.0.0.1'],
    'cloud.test': ['169.254.169.254'],
    'both.test': ['93.184.216.34', '10.0.0.1'],
    'worse.test': ['93.184.216.34', '169.254.169.254'],
    'none.test': [],
  };
  const allowed = {
    public: ['public.test'],
    registry: ['public.test', 'private.test', 'private6.test', 'both.test'],
    anywhere: [
      'public.test',
      'private.test',
      'private6.test',
      'loopback.test',
      'mapped.test',
      'cloud.test',
      'both.test',
      'worse.test',
    ],
  };
  for (const zone of ['public', 'registry', 'anywhere'] as const) {
    for (const hostname of Object.keys(kinds)) {
      const isAllowed = allowed[zone].includes(hostname);
      it(`${isAllowed ? 'resolves' : 'does not resolve'} ${hostname} in the zone ${zone}`, async () => {
        const addresses = await resolveHost(open(kinds), zone, hostname);

        if (isAllowed) assert.ok(Array.isArray(addresses) && addresses.length > 0);
        else assert.equal(addresses, hostname === 'none.test' ? 'ENOTFOUND' : 'EFORBIDDEN');
      });
    }
  }

  it('resolves a loopback registry outside a cluster', async () => {
    const addresses = await resolveHost(
      open(kinds, { insideCluster: false }),
      'registry',
      'loopback.test',
    );

    assert.deepEqual(addresses, [{ address: '127.0.0.1', family: 4 }]);
  });

  it('returns one address to a DNS lookup without the option all', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    open(kinds).lookup('registry')('both.test', {}, (_error, ...rest) => resolve(rest));

    assert.deepEqual(await promise, ['93.184.216.34', 4]);
  });

  it('passes on the DNS error for a name that does not resolve', async () => {
    assert.equal(await resolveHost(open({}), 'registry', 'missing.test'), 'ENOTFOUND');
  });
});

describe('createEgressPolicy, zoneOf', () => {
  const url = new URL('https://next.test/');

  it('puts the registry itself into the zone registry', () => {
    assert.equal(open({}).zoneOf(url, undefined), 'registry');
  });

  const senders = [
    ['https://1.1.1.1/', 'public'],
    ['https://10.0.0.1/', 'registry'],
    ['https://[fd00::1]/', 'registry'],
    ['https://127.0.0.1:5000/', 'registry'],
    ['https://localhost:5000/', 'registry'],
    ['https://169.254.169.254/', 'public'],
    ['https://never-looked-up.test/', 'public'],
  ] as const;
  for (const [sentBy, expected] of senders) {
    it(`puts a URL that ${sentBy} named into the zone ${expected}`, () => {
      assert.equal(open({}).zoneOf(url, new URL(sentBy)), expected);
    });
  }

  const names = [
    ['a private name', ['10.0.0.1'], 'registry'],
    ['a public name', ['93.184.216.34'], 'public'],
    ['a name with public and private addresses', ['10.0.0.1', '93.184.216.34'], 'public'],
  ] as const;
  for (const [what, addresses, expected] of names) {
    it(`puts a URL that ${what} named into the zone ${expected}`, async () => {
      const egress = open({ 'sender.test': addresses });
      await resolveHost(egress, 'registry', 'sender.test');

      assert.equal(egress.zoneOf(url, new URL('https://sender.test/')), expected);
    });
  }

  it('keeps a name in the zone public that later resolves to a private address', async () => {
    const names: Names = { 'sender.test': ['93.184.216.34'] };
    const egress = open(names);
    await resolveHost(egress, 'registry', 'sender.test');
    names['sender.test'] = ['10.0.0.1'];
    await resolveHost(egress, 'registry', 'sender.test');

    assert.equal(egress.zoneOf(url, new URL('https://sender.test/')), 'public');
    assert.equal(
      egress.zoneOf(new URL('https://sender.test:8443/'), new URL('https://sender.test/')),
      'public',
    );
  });

  const configuredHosts = [
    'Backup.test:5000',
    'plain.test:80',
    'tls.test:443',
    '[::1]:5000',
    '10.0.0.1',
  ];
  const configured = [
    ['https://backup.test:5000/', 'anywhere'],
    ['https://backup.test/', 'public'],
    ['https://backup.test:5001/', 'public'],
    ['http://plain.test/', 'anywhere'],
    ['https://tls.test/', 'anywhere'],
    ['http://[::1]:5000/', 'anywhere'],
    ['https://10.0.0.1/', 'anywhere'],
    ['https://10.0.0.1:6443/', 'public'],
  ] as const;
  for (const [text, expected] of configured) {
    it(`puts ${text} into the zone ${expected} with the configured hosts ${configuredHosts.join(', ')}`, () => {
      const egress = open({}, { configuredHosts });

      assert.equal(egress.zoneOf(new URL(text), new URL('https://1.1.1.1/')), expected);
    });
  }

  it('remembers the zones of a thousand host names', async () => {
    const names = Object.fromEntries(
      Array.from({ length: 1_001 }, (_, index) => [`n${index}.test`, ['10.0.0.1']]),
    );
    const egress = open(names);
    for (const name of Object.keys(names)) await resolveHost(egress, 'registry', name);

    assert.equal(egress.zoneOf(url, new URL('https://n0.test/')), 'public');
    assert.equal(egress.zoneOf(url, new URL('https://n1.test/')), 'registry');
  });
});
