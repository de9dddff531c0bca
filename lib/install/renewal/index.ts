/**
 * Renews the certificate of the webhook in steps, so that the API server refuses no review at any time. `decide` is pure; `renew`
 * reads and writes through `CertificateStore`.
 */
export { renew } from './renew.ts';
export { readReport } from './report.ts';
