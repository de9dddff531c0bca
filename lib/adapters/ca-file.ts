import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../errors.ts';

/** Certificates to trust, in PEM. Rejects with `ConfigError` that names the variable and the file where there are none in it. */
export async function readCaFile(variable: string, file: string): Promise<string> {
  try {
    const pem = await readFile(file, 'utf8');
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
    if (blocks === null) throw new Error('no certificate');
    // TLS would leave out, without a word, what it cannot read.
    return blocks.map((block) => new X509Certificate(block).toString()).join('');
  } catch {
    // The path is all that a person needs; OpenSSL's words help nobody.
    throw new ConfigError([`${variable} ${file} is not a readable file of certificates in PEM`]);
  }
}
