import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readCertificates } from '../../../../functions/shared/adapters/certificates.ts';
import { makeCertificate, makeClientCa } from '../../../support/certificate.ts';

describe('readCertificates', () => {
  let dir: string;
  const file = (name: string): string => join(dir, name);

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'certificates-'));
    const { cert, key } = await makeCertificate('01');
    const other = await makeCertificate('02');
    const { ca } = await makeClientCa();
    const { ca: second } = await makeClientCa();
    await writeFile(file('tls.crt'), cert);
    await writeFile(file('tls.key'), key);
    await writeFile(file('other.key'), other.key);
    await writeFile(file('ca.crt'), `client CAs\n${ca}\n${second}`);
    await writeFile(file('cut.crt'), `${ca}\n${second.replace('MII', 'XXX')}`);
    await writeFile(file('empty'), '');
  });
  after(async () => {
    await rm(dir, { recursive: true });
  });

  it('reads a certificate and its key', async () => {
    const read = await readCertificates({ certFile: file('tls.crt'), keyFile: file('tls.key') });

    assert.deepEqual(Object.keys(read), ['cert', 'key']);
  });

  it('reads every CA of the client CA file', async () => {
    const { ca = '' } = await readCertificates({
      certFile: file('tls.crt'),
      keyFile: file('tls.key'),
      clientCaFile: file('ca.crt'),
    });

    assert.equal(ca.match(/BEGIN CERTIFICATE/g)?.length, 2);
  });

  const refused: readonly {
    readonly what: string;
    readonly names: readonly [cert: string, key: string, ca?: string];
    readonly problems: readonly RegExp[];
  }[] = [
    {
      what: 'missing files and names them all',
      names: ['none.crt', 'none.key', 'none.ca'],
      problems: [
        /none\.crt cannot be read \(ENOENT\): HTTPS needs it$/,
        /none\.key cannot be read \(ENOENT\): HTTPS needs it$/,
        /^TLS_CLIENT_CA_FILE \S+none\.ca is not a readable file of certificates in PEM$/,
      ],
    },
    {
      what: 'the key of another certificate',
      names: ['tls.crt', 'other.key'],
      problems: [/tls\.crt and \S+other\.key are not a certificate and its private key in PEM$/],
    },
    {
      what: 'an empty file of client CAs',
      names: ['tls.crt', 'tls.key', 'empty'],
      problems: [/^TLS_CLIENT_CA_FILE \S+empty is not a readable file of certificates in PEM$/],
    },
    {
      what: 'client CAs of which one is invalid, which TLS would ignore',
      names: ['tls.crt', 'tls.key', 'cut.crt'],
      problems: [/^TLS_CLIENT_CA_FILE \S+cut\.crt is not a readable file of certificates in PEM$/],
    },
  ];
  for (const { what, names, problems } of refused) {
    it(`rejects ${what}`, async () => {
      const [cert, key, ca] = names;
      const files = {
        certFile: file(cert),
        keyFile: file(key),
        ...(ca !== undefined && { clientCaFile: file(ca) }),
      };

      await assert.rejects(readCertificates(files), (error) => {
        assert.ok(error instanceof Error && 'problems' in error && Array.isArray(error.problems));
        assert.equal(error.name, 'ConfigError');
        assert.equal(error.problems.length, problems.length);
        for (const [index, pattern] of problems.entries()) {
          assert.match(String(error.problems[index]), pattern);
        }
        return true;
      });
    });
  }
});
