import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../errors.ts';

/** Reads certificates in PEM. Rejects with a `ConfigError` that names the variable and the file if it has none or an invalid one. */
export async function readCaFile(variable: string, file: string): Promise<string> {
  try {
    const pem = await readFile(file, 'utf8');
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
    if (blocks === null) throw new Error('no certificate');
    // TLS silently ignores certificates that it cannot parse.
    return blocks.map((block) => new X509Certificate(block).toString()).join('');
  } catch {
    // OpenSSL's message adds nothing to the path.
    throw new ConfigError([`${variable} ${file} is not a readable file of certificates in PEM`]);
  }
}
