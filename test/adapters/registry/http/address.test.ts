import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kindOfAddress, literalAddress } from '../../../../lib/adapters/registry/http/address.ts';

describe('kindOfAddress', () => {
  const kinds = {
    public: [
      '1.1.1.1',
      '9.255.255.255',
      '172.15.255.255',
      '172.32.0.1',
      '192.169.0.1',
      '100.128.0.1',
      '223.255.255.255',
      '2606:4700::1111',
      '::ffff:1.1.1.1',
      '64:ff9b::1.1.1.1',
      '2002:101:101::',
    ],
    private: [
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      '198.18.0.1',
      'fd00::1',
      'fc00::1',
      'fec0::1',
      '::ffff:10.0.0.1',
      '::ffff:a00:1',
      '0:0:0:0:0:ffff:10.0.0.1',
      '64:ff9b::10.0.0.1',
      '64:ff9b:1::1',
      '2002:a00:1::1',
    ],
    loopback: [
      '127.0.0.1',
      '127.255.255.254',
      '::1',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '::FFFF:7F00:0001',
      '64:ff9b::7f00:1',
      '::127.0.0.1',
      '2002:7f00:1::',
    ],
    forbidden: [
      '0.0.0.0',
      '0.1.2.3',
      '169.254.169.254',
      '169.254.0.1',
      '224.0.0.1',
      '239.1.1.1',
      '255.255.255.255',
      '100.100.100.200',
      '192.0.0.192',
      '168.63.129.16',
      '::',
      'fe80::1',
      'fe80::1%eth0',
      'febf::1',
      'ff02::1',
      'fd00:ec2::254',
      'fd00:ec2::23',
      'fd20:ce::254',
      'fd00:c1::a9fe:a9fe',
      'fd00:100::100:200',
      'fd00:42::42',
      'fd00:a9fe:a9fe::1',
      '::ffff:169.254.169.254',
      '::ffff:a9fe:a9fe',
      '64:ff9b::169.254.169.254',
      '2002:a9fe:a9fe::1',
      '64:ff9b::1',
      '::ffff:0:0',
      'localhost',
      '',
    ],
  } as const;
  for (const [kind, addresses] of Object.entries(kinds)) {
    for (const address of addresses) {
      it(`classifies the address ${JSON.stringify(address)} as ${kind}`, () => {
        assert.equal(kindOfAddress(address), kind);
      });
    }
  }
});

describe('literalAddress', () => {
  const cases = [
    ['http://127.0.0.1/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://2130706433/', '127.0.0.1'],
    ['http://0177.0.0.1/', '127.0.0.1'],
    ['http://127.1/', '127.0.0.1'],
    ['http://127.0.0.1./', '127.0.0.1'],
    ['http://0xa9fea9fe/', '169.254.169.254'],
    ['http://[::1]/', '::1'],
    ['http://[::ffff:127.0.0.1]/', '::ffff:7f00:1'],
    ['http://１２７.0.0.1/', '127.0.0.1'],
    ['http://example.com/', undefined],
    ['http://localhost/', undefined],
    ['http://127.0.0.1.nip.io/', undefined],
  ] as const;
  for (const [url, expected] of cases) {
    it(`finds the literal address ${expected ?? 'none'} in ${url}`, () => {
      assert.equal(literalAddress(new URL(url).hostname), expected);
    });
  }
});
