import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOwnRealm, parseRealm } from '../../../../lib/adapters/registry/auth/realm.ts';

describe('parseRealm', () => {
  const readable = [
    ['https://auth.test/token?x=1', 'https://reg.test', 'https://auth.test/token?x=1'],
    ['/token', 'https://reg.test:5000', 'https://reg.test:5000/token'],
    ['token', 'https://reg.test', 'https://reg.test/token'],
    ['http://auth.test/token', 'http://reg.test:5000', 'http://auth.test/token'],
    ['https://auth.test/token', 'http://reg.test:5000', 'https://auth.test/token'],
  ] as const;
  for (const [text, registry, expected] of readable) {
    it(`resolves the realm ${text} at ${registry}`, () => {
      assert.equal(parseRealm(text, new URL(registry)).href, expected);
    });
  }

  const refused = [
    ['a user', 'https://user@auth.test/token'],
    ['a password', 'https://:password@auth.test/token'],
    ['another protocol', 'file:///etc/passwd'],
    ['an invalid URL', 'https://[/'],
    ['more than 2048 characters', `https://auth.test/${'a'.repeat(2_048)}`],
    ['more than 2048 characters after encoding', `https://auth.test/?${'é'.repeat(500)}`],
  ] as const;
  for (const [what, text] of refused) {
    it(`rejects a realm with ${what}`, () => {
      assert.throws(() => parseRealm(text, new URL('https://reg.test')), {
        name: 'RegistryError',
        reason: 'REFUSED',
        message: 'authenticating: its token server has an invalid URL',
      });
    });
  }
});

describe('parseRealm of an https registry', () => {
  it('rejects a realm with plain http, and says so', () => {
    assert.throws(() => parseRealm('http://auth.test/token', new URL('https://reg.test')), {
      name: 'RegistryError',
      reason: 'REFUSED',
      message: 'authenticating: its token server uses plain http',
    });
  });
});

describe('isOwnRealm', () => {
  const cases = [
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', true],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', true],
    ['https://docker.elastic.co', 'https://docker-auth.elastic.co/auth', true],
    [
      'https://registry.cn-hangzhou.aliyuncs.com',
      'https://dockerauth.cn-hangzhou.aliyuncs.com/auth',
      true,
    ],
    ['https://ghcr.io', 'https://ghcr.io/token', true],
    ['https://quay.io', 'https://quay.io/v2/auth', true],
    ['https://public.ecr.aws', 'https://public.ecr.aws/token/', true],
    ['https://acme.azurecr.io', 'https://acme.azurecr.io/oauth2/token', true],
    ['https://reg.example.com:5000', 'https://auth.example.com:5001/', true],
    ['https://example.com:5050', 'https://example.com/jwt/auth', true],
    ['https://reg.acme.co.jp', 'https://auth.acme.co.jp/', true],
    ['https://reg.team.svc.cluster.local', 'https://auth.team.svc.cluster.local/', true],
    ['https://reg.home.arpa', 'https://auth.home.arpa/', true],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5000/token', true],
    ['https://evil.test', 'https://auth.docker.io/token', false],
    ['https://reg.example.com', 'https://notexample.com/', false],
    ['https://reg.example.com', 'https://example.com.evil.test/', false],
    ['https://nvcr.io', 'https://authn.nvidia.com/token', false],
    ['https://ghcr.io', 'https://evil.io/token', false],
    ['https://registry.co.uk', 'https://evil.co.uk/', false],
    ['https://registry.com.br', 'https://evil.com.br/', false],
    ['https://acme.or.jp', 'https://evil.or.jp/', false],
    ['https://reg.acme.or.jp', 'https://reg.evil.or.jp/', false],
    ['https://acme.azurecr.io', 'https://evil.azurecr.io/oauth2/token', false],
    ['https://acme.azurecr.cn', 'https://evil.azurecr.cn/oauth2/token', false],
    ['https://acme.azurecr.io', 'https://azurecr.io/oauth2/token', false],
    ['https://acme.jfrog.io', 'https://evil.jfrog.io/token', false],
    ['https://acme.github.io', 'https://evil.github.io/token', false],
    ['https://reg.team.svc.cluster.local', 'https://auth.other.svc.cluster.local/', false],
    [
      'https://registry.cn-hangzhou.aliyuncs.com',
      'https://evil.oss-cn-hangzhou.aliyuncs.com/',
      false,
    ],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token', false],
    ['http://10.0.0.1', 'http://9.0.0.1/', false],
    ['http://[fd00::1]:5000', 'http://[fd00::1]:5001/', false],
    ['http://localhost:5000', 'http://localhost:5001/', false],
    ['http://registry:5000', 'http://other:5000/', false],
  ] as const;
  for (const [registry, realm, expected] of cases) {
    it(`${expected ? 'sends' : 'does not send'} the password of ${registry} to ${realm}`, () => {
      assert.equal(isOwnRealm(new URL(realm), new URL(registry)), expected);
    });
  }
});
