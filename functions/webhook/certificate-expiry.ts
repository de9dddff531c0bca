import { X509Certificate } from 'node:crypto';
import type { Logger } from '../../lib/index.ts';

export interface ExpiryOptions {
  /** For the log. */
  readonly file: string;
  /** What is served, in PEM. */
  readonly cert: string;
  readonly onExpiry: (at: Date) => void;
  readonly logger: Logger;
}

export interface ExpiryWatch {
  /** Another certificate is served from now on. */
  renew(cert: string): void;
  stop(): void;
}

const dayMs = 86_400_000;
/** A person has weekends and holidays. */
const warnDays = 30;

/** Warns at the start, at each renewal, and once a day when the certificate ends in less than 30 days. */
export function watchExpiry({ file, cert, onExpiry, logger }: ExpiryOptions): ExpiryWatch {
  let expiresAt = new Date(0);
  const warn = (): void => {
    const days = Math.floor((expiresAt.getTime() - Date.now()) / dayMs);
    if (days >= warnDays) return;
    const told = { file, expiresAt: expiresAt.toISOString(), days };
    if (days < 0) logger.warn(told, 'the certificate has expired; no API server calls us with it');
    else logger.warn(told, 'the certificate expires soon; renew it');
  };
  const renew = (renewed: string): void => {
    // The first one in the file is the server's own.
    expiresAt = new Date(new X509Certificate(renewed).validTo);
    onExpiry(expiresAt);
    warn();
  };
  renew(cert);
  const timer = setInterval(warn, dayMs).unref();
  return { renew, stop: () => clearInterval(timer) };
}
