import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createKeyring, toEntry } from '../../../lib/adapters/credentials/keyring.ts';

interface Row {
  readonly behaviour: string;
  readonly keys: readonly string[];
  readonly image: readonly [domain: string, path: string];
  readonly found: readonly string[];
}

/** Seen with the kubelet's own keyring, except where a row says that we differ. */
const rows: readonly Row[] = [
  {
    behaviour: 'tries every match in reverse lexical order of the keys',
    keys: ['reg.example.com', '*.example.com', 'reg.example.com/team/'],
    image: ['reg.example.com', 'team/x'],
    found: ['reg.example.com/team/', 'reg.example.com', '*.example.com'],
  },
  {
    behaviour: 'takes a path for a plain prefix',
    keys: ['quay.io/core'],
    image: ['quay.io', 'coreos/etcd'],
    found: ['quay.io/core'],
  },
  {
    behaviour: 'does not match beyond a slash at the end of a key',
    keys: ['reg.test/team/'],
    image: ['reg.test', 'teamwork/x'],
    found: [],
  },
  {
    behaviour: 'has no globs in paths',
    keys: ['gcr.io/*'],
    image: ['gcr.io', 'team/x'],
    found: [],
  },
  {
    behaviour: 'matches one label with one star',
    keys: ['*.example.com'],
    image: ['a.b.example.com', 'x'],
    found: [],
  },
  {
    behaviour:
      'matches a host that a key would be a regular expression for only if it is that host',
    keys: ['reg.test'],
    image: ['regxtest', 'x'],
    found: [],
  },
  { behaviour: 'compares ports', keys: ['reg.test'], image: ['reg.test:443', 'x'], found: [] },
  {
    behaviour: 'finds a key with a port',
    keys: ['reg.test:5000'],
    image: ['reg.test:5000', 'x'],
    found: ['reg.test:5000'],
  },
  {
    behaviour: "takes docker's own spelling of Docker Hub",
    keys: ['https://index.docker.io/v1/'],
    image: ['docker.io', 'library/nginx'],
    found: ['https://index.docker.io/v1/'],
  },
  {
    behaviour: 'does not find that spelling without its last slash',
    keys: ['https://index.docker.io/v1'],
    image: ['docker.io', 'library/nginx'],
    found: [],
  },
  {
    behaviour: 'lets a key docker.io hide index.docker.io',
    keys: ['docker.io', 'index.docker.io'],
    image: ['docker.io', 'library/nginx'],
    found: ['docker.io'],
  },
  {
    behaviour: "does not give Docker Hub's password to localhost, unlike the kubelet",
    keys: ['https://index.docker.io/v1/'],
    image: ['localhost', 'foo'],
    found: [],
  },
  {
    behaviour: 'does not give a password to a host that begins like the right one',
    keys: ['reg.test'],
    image: ['reg.test.evil.example', 'x'],
    found: [],
  },
  {
    behaviour: 'has stars and question marks within a label',
    keys: ['a*c*e-?.reg.test', 'a*c*e-??.reg.test', '**.reg.test', 'x*.reg.test'],
    image: ['abcce-1.reg.test', 'x'],
    found: ['a*c*e-?.reg.test', '**.reg.test'],
  },
  {
    behaviour: 'is not kept busy by a key full of stars',
    keys: [`${'*a'.repeat(30)}*b.reg.test`],
    image: [`${'a'.repeat(63)}.reg.test`, 'x'],
    found: [],
  },
];

describe('createKeyring', () => {
  for (const { behaviour, keys, image, found } of rows) {
    it(behaviour, () => {
      const keyring = createKeyring(
        keys.map((key) => toEntry(key, { username: key, password: 'p' })),
      );

      const usernames = keyring
        .find({ domain: image[0], path: image[1] })
        .map(({ username }) => username);

      assert.deepEqual(usernames, found);
    });
  }
});
