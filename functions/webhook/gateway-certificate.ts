import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import {
  type ExpiryOptions,
  type ExpiryWatch,
  watchCertificateExpiry,
} from './certificate-expiry.ts';

/** The kubelet updates a mounted Secret within a minute, and an expiry matters for days. */
const pollMs = 60_000;

/**
 * Reports when the certificate of the gateway expires, which the webhook itself does not use. Without the file there is nothing to
 * report, until there is one. Returns a function that stops it.
 */
export function watchGatewayCertificate({
  file,
  onExpiry,
  logger,
}: Omit<ExpiryOptions, 'cert'>): () => void {
  let last = '';
  let watch: ExpiryWatch | undefined;
  let isMissing = false;

  async function load(): Promise<void> {
    try {
      const cert = await readFile(file, 'utf8');
      isMissing = false;
      if (cert === last) return;
      last = cert;
      if (watch === undefined) watch = watchCertificateExpiry({ file, cert, onExpiry, logger });
      else watch.renew(cert);
    } catch (error) {
      if (!isMissing) {
        const message = 'the certificate of the gateway cannot be read, so its expiry is not known';
        logger.warn({ file, err: error }, message);
      }
      isMissing = true;
    }
  }

  const onChange = (): void => void load();
  watchFile(file, { interval: pollMs, persistent: false }, onChange);
  onChange();
  return () => {
    unwatchFile(file, onChange);
    watch?.stop();
  };
}
