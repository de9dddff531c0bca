/**
 * The certificate of the webhook: the one in the cluster while it is good, else a new one, or the files of `just gen`.
 * Reads only; the steps of `deploy` write.
 */
export { findCertificateProblem, isTrusted } from './check-certificate.ts';
export { chooseCertificate, readIssuedCa, type ServingCertificate } from './choose-certificate.ts';
