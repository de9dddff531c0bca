import { X509Certificate } from 'node:crypto';
import type { Logger } from '../../lib/index.ts';

export interface ExpiryOptions {
  /** For the log. */
  readonly file: string;
  /** The certificate in use, in PEM. */
  readonly cert: string;
  readonly onExpiry: (at: Date) => void;
  readonly logger: Logger;
}

export interface ExpiryWatch {
  /** Replaces the certificate in use. */
  renew(cert: string): void;
  stop(): void;
}

const dayMs = 86_400_000;
/** As the alert of knative/monitoring: a renewal begins 30 days before the end and takes three. */
const warnDays = 20;

/** Warns at the start, at each renewal, and once a day if the certificate expires in less than 20 days. */
export function watchCertificateExpiry({
  file,
  cert,
  onExpiry,
  logger,
}: ExpiryOptions): ExpiryWatch {
  let expiresAt = new Date(0);
  const warn = (): void => {
    const days = Math.floor((expiresAt.getTime() - Date.now()) / dayMs);
    if (days >= warnDays) return;
    const fields = { file, expiresAt: expiresAt.toISOString(), days };
    if (days < 0) {
      logger.warn(fields, 'the certificate has expired and the API server rejects it: renew it');
    } else logger.warn(fields, 'the certificate expires soon: renew it');
  };
  const renew = (renewed: string): void => {
    // The first certificate of the file is the one of the server.
    expiresAt = new Date(new X509Certificate(renewed).validTo);
    onExpiry(expiresAt);
    warn();
  };
  renew(cert);
  const timer = setInterval(warn, dayMs).unref();
  return { renew, stop: () => clearInterval(timer) };
}
