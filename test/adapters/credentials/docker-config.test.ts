import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  parseDockerConfig,
  parseDockerConfigWithTokens,
  parseDockercfg,
} from '../../../lib/adapters/credentials/docker-config.ts';

const image = { domain: 'reg.test', path: 'team/app' };

function find(entry: unknown): readonly unknown[] {
  return parseDockerConfig(JSON.stringify({ auths: { 'reg.test': entry } })).find(image);
}

describe('parseDockerConfig', () => {
  const entries = [
    ['auth', { auth: 'YWNtZTpzZWNyZXQ=' }, [{ username: 'acme', password: 'secret' }]],
    [
      'auth without padding',
      { auth: 'YWNtZTpzZWNyZXQ' },
      [{ username: 'acme', password: 'secret' }],
    ],
    [
      'a password with colons',
      { auth: 'YWNtZTphOmI6Yw==' },
      [{ username: 'acme', password: 'a:b:c' }],
    ],
    ['username and password', { username: 'u', password: 'p' }, [{ username: 'u', password: 'p' }]],
    [
      'auth before username',
      { auth: 'YTpi', username: 'u', password: 'p' },
      [{ username: 'a', password: 'b' }],
    ],
    // `acme:secret\0\0`
    [
      'auth with trailing NUL characters',
      { auth: 'YWNtZTpzZWNyZXQAAA==' },
      [{ username: 'acme', password: 'secret' }],
    ],
    ['an identity token, which the kubelet ignores too', { identitytoken: 't' }, []],
    ['an empty entry, as credential helpers leave them', {}, []],
    ['null for an entry', null, []],
  ] as const;
  for (const [what, entry, found] of entries) {
    it(`reads ${what} of a docker config entry`, () => {
      assert.deepEqual(find(entry), found);
    });
  }

  it('reads a docker config password of a million NUL characters in linear time', () => {
    const text = `a:${'\0'.repeat(1_000_000)}x`;

    const [credentials] = parseDockerConfig(
      JSON.stringify({ auths: { 'reg.test': { auth: btoa(text) } } }),
    ).find(image);

    assert.equal(credentials?.password.length, 1_000_001);
  });

  const broken = ['', 'not json s3cret', '{"auths":{"reg.test":"s3cret"}}', '{"auths":7}'];
  for (const text of broken) {
    it(`rejects the docker config ${JSON.stringify(text)} without quoting it`, () => {
      assert.throws(
        () => parseDockerConfig(text),
        (error: unknown) =>
          error instanceof Error &&
          error.message === 'it is not a docker config.json with "auths"' &&
          error.cause === undefined,
      );
    });
  }

  it('returns an empty keyring for a docker config without auths', () => {
    assert.deepEqual(parseDockerConfig('{"credsStore":"desktop"}').find(image), []);
  });
});

describe('parseDockerConfigWithTokens', () => {
  const token = (username: string): unknown[] => [
    { username, password: 'idt', isIdentityToken: true },
  ];
  const entries = [
    ['an identity token', { identitytoken: 'idt' }, token('<token>')],
    // `0000:`
    [
      'an identity token with a username and no password, as Azure writes it',
      { auth: 'MDAwMDo=', identitytoken: 'idt' },
      token('0000'),
    ],
    [
      'an identity token as the password of <token>',
      { username: '<token>', password: 'idt' },
      token('<token>'),
    ],
    // `<token>:idt`
    ['an identity token in auth', { auth: 'PHRva2VuPjppZHQ=' }, token('<token>')],
    [
      'a password before an identity token',
      { username: 'u', password: 'p', identitytoken: 'idt' },
      [{ username: 'u', password: 'p' }],
    ],
    ['username and password', { username: 'u', password: 'p' }, [{ username: 'u', password: 'p' }]],
    ['an empty entry', {}, []],
  ] as const;
  for (const [what, entry, found] of entries) {
    it(`reads ${what} in SOURCE_AUTH_FILE`, () => {
      const text = JSON.stringify({ auths: { 'reg.test': entry } });

      assert.deepEqual(parseDockerConfigWithTokens(text).find(image), found);
    });
  }
});

describe('parseDockercfg', () => {
  it('reads .dockercfg entries without an auths object', () => {
    const text = JSON.stringify({ 'reg.test': { auth: 'YWNtZTpzZWNyZXQ=', email: 'a@b.test' } });

    const [entry, ...others] = parseDockercfg(text);

    assert.equal(entry?.key, 'reg.test');
    assert.deepEqual(entry?.credentials, { username: 'acme', password: 'secret' });
    assert.deepEqual(others, []);
  });

  it('reads no entries from a config.json', () => {
    assert.deepEqual(parseDockercfg('{"auths":{"reg.test":{"auth":"YTpi"}}}'), []);
  });

  it('rejects a .dockercfg that is not JSON without quoting it', () => {
    assert.throws(
      () => parseDockercfg('not json s3cret'),
      (error: unknown) =>
        error instanceof Error &&
        error.message === 'it is not a .dockercfg' &&
        error.cause === undefined,
    );
  });
});
