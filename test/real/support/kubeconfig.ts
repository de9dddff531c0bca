import { writeFile } from 'node:fs/promises';
import { connect } from 'node:tls';

export interface KubeconfigOptions {
  readonly file: string;
  /** URL of the API server. */
  readonly url: string;
  readonly token: string;
  /** Namespace of the context. */
  readonly namespace?: string;
}

/** Credentials like those of a pod: a token and the CA of the API server. */
export async function writeKubeconfig({
  file,
  url,
  token,
  namespace,
}: KubeconfigOptions): Promise<string> {
  const ca = await readCa(url);
  const context = { cluster: 'test', user: 'us', ...(namespace !== undefined && { namespace }) };
  const config = {
    'current-context': 'test',
    contexts: [{ name: 'test', context }],
    users: [{ name: 'us', user: { token } }],
    clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': ca } }],
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** The last certificate of the server's chain as base64 of PEM, which is a pod's ca.crt. */
async function readCa(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
    let certificate = socket.getPeerCertificate(true);
    while (certificate.issuerCertificate.fingerprint256 !== certificate.fingerprint256)
      certificate = certificate.issuerCertificate;
    resolve(certificate.raw);
    socket.destroy();
  });
  socket.on('error', reject);
  const body = (await promise).toString('base64');
  const pem = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
  return Buffer.from(pem).toString('base64');
}
