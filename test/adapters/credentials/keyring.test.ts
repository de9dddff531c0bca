import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createKeyring, toEntry } from '../../../lib/adapters/credentials/keyring.ts';

interface Row {
  readonly behaviour: string;
  readonly keys: readonly string[];
  readonly image: readonly [domain: string, path: string];
  readonly usernames: readonly string[];
}

/** Recorded from the kubelet's keyring, except rows that name a difference. */
const rows: readonly Row[] = [
  {
    behaviour: 'tries every match in reverse lexical order of the keys',
    keys: ['reg.example.com', '*.example.com', 'reg.example.com/team/'],
    image: ['reg.example.com', 'team/x'],
    usernames: ['reg.example.com/team/', 'reg.example.com', '*.example.com'],
  },
  {
    behaviour: 'matches a path as a plain prefix',
    keys: ['quay.io/core'],
    image: ['quay.io', 'coreos/etcd'],
    usernames: ['quay.io/core'],
  },
  {
    behaviour: 'matches only the directory of a key with a trailing slash',
    keys: ['reg.test/team/'],
    image: ['reg.test', 'teamwork/x'],
    usernames: [],
  },
  {
    behaviour: 'does not expand globs in paths',
    keys: ['gcr.io/*'],
    image: ['gcr.io', 'team/x'],
    usernames: [],
  },
  {
    behaviour: 'matches one label with one star',
    keys: ['*.example.com'],
    image: ['a.b.example.com', 'x'],
    usernames: [],
  },
  {
    behaviour: 'does not treat a key as a regular expression',
    keys: ['reg.test'],
    image: ['regxtest', 'x'],
    usernames: [],
  },
  {
    behaviour: 'does not match a host with another port',
    keys: ['reg.test'],
    image: ['reg.test:443', 'x'],
    usernames: [],
  },
  {
    behaviour: 'matches a key with a port',
    keys: ['reg.test:5000'],
    image: ['reg.test:5000', 'x'],
    usernames: ['reg.test:5000'],
  },
  {
    behaviour: "matches docker's key for Docker Hub",
    keys: ['https://index.docker.io/v1/'],
    image: ['docker.io', 'library/nginx'],
    usernames: ['https://index.docker.io/v1/'],
  },
  {
    behaviour: "does not match docker's key for Docker Hub without its trailing slash",
    keys: ['https://index.docker.io/v1'],
    image: ['docker.io', 'library/nginx'],
    usernames: [],
  },
  {
    behaviour: 'prefers the key docker.io to index.docker.io',
    keys: ['docker.io', 'index.docker.io'],
    image: ['docker.io', 'library/nginx'],
    usernames: ['docker.io'],
  },
  {
    behaviour: "does not return Docker Hub's password for localhost, unlike the kubelet",
    keys: ['https://index.docker.io/v1/'],
    image: ['localhost', 'foo'],
    usernames: [],
  },
  {
    behaviour: 'a keyring key does not match a host that has the key as a prefix',
    keys: ['reg.test'],
    image: ['reg.test.evil.example', 'x'],
    usernames: [],
  },
  {
    behaviour: 'a keyring expands stars and question marks within a label',
    keys: ['a*c*e-?.reg.test', 'a*c*e-??.reg.test', '**.reg.test', 'x*.reg.test'],
    image: ['abcce-1.reg.test', 'x'],
    usernames: ['a*c*e-?.reg.test', '**.reg.test'],
  },
  {
    behaviour: 'a keyring matches a key with many stars in polynomial time',
    keys: [`${'*a'.repeat(30)}*b.reg.test`],
    image: [`${'a'.repeat(63)}.reg.test`, 'x'],
    usernames: [],
  },
];

describe('createKeyring', () => {
  for (const { behaviour, keys, image, usernames } of rows) {
    it(behaviour, () => {
      const keyring = createKeyring(
        keys.map((key) => toEntry(key, { username: key, password: 'p' })),
      );

      const actual = keyring
        .find({ domain: image[0], path: image[1] })
        .map(({ username }) => username);

      assert.deepEqual(actual, usernames);
    });
  }
});
