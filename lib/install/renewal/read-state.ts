import type { StoredCertificate } from '../../ports/index.ts';
import { isKeyOf, isTrusted, parseCertificates, type X509Certificate } from '../../util/x509.ts';
import { annotation, type Names, nextNames, servedNames } from './secret-fields.ts';

/** A certificate that the API server accepts if it trusts the CA. */
export interface UsableCertificate {
  /** base64 of the DER encoding. */
  readonly certificate: string;
  /** The CA that signed it, in the same form; absent if a chain of intermediate certificates did. */
  readonly ca?: string;
  /** When the certificate or its CA expires. */
  readonly expiresAt: Date;
}

/** The CA bundle of one webhook. */
interface Bundle {
  /** base64 of the DER encodings. */
  readonly cas: readonly string[];
  /** Whether the API server accepts the certificate in use with it. */
  readonly trustsCurrent: boolean;
}

/** What decides the next step of a renewal. */
export interface RenewalState {
  readonly now: Date;
  readonly hasSecret: boolean;
  /** The certificate in use; absent if the API server rejects it, whatever it trusts. */
  readonly current?: UsableCertificate;
  /** Whether the certificate in use is good for another host than the API server calls. */
  readonly isForOtherHost: boolean;
  /** The certificate that will replace it. */
  readonly next?: UsableCertificate;
  /** Whether the Secret has anything of a next certificate. */
  readonly hasNext: boolean;
  /** One for each webhook. */
  readonly bundles: readonly Bundle[];
  /** Since when the certificate in use and all bundles are as they are; absent if this is not known. */
  readonly unchangedSince?: Date;
}

/** What the state is read for. */
export interface StateQuery {
  /** The host that the API server calls. */
  readonly host: string;
  readonly now: Date;
}

/** Reads the state from the objects in the cluster. */
export function readState(stored: StoredCertificate, query: StateQuery): RenewalState {
  const { secret, configuration } = stored;
  const trusted = (configuration?.caBundles ?? []).map((bundle) => parseBase64(bundle));
  const data = secret?.data ?? {};
  const chain = parseBase64(data[servedNames.certificate]);
  const current = readCertificate(data, servedNames, trusted.flat(), query);
  const next = readCertificate(data, nextNames, [], query);
  const since = readSince(stored);
  return {
    now: query.now,
    hasSecret: secret !== undefined,
    ...(current !== undefined && { current }),
    isForOtherHost: chain.slice(0, 1).some((each) => each.checkHost(query.host) === undefined),
    ...(next?.ca !== undefined && { next }),
    hasNext: Object.values(nextNames).some((name) => name in data),
    bundles: trusted.map((cas) => ({
      cas: cas.map(toDer),
      trustsCurrent: current !== undefined && trusts(cas, chain, current),
    })),
    ...(since !== undefined && { unchangedSince: since }),
  };
}

/** Identifies the certificate in use and all bundles, for the annotation that says since when they are so. */
export function toMark({ secret, configuration }: StoredCertificate): string {
  const [certificate] = parseBase64(secret?.data[servedNames.certificate]);
  return `${configuration?.revision ?? ''} ${certificate?.fingerprint256.replaceAll(':', '') ?? ''}`;
}

/** Without a bundle the API server trusts its system's CAs, of which only a certificate without an own CA can be. */
function trusts(
  cas: readonly X509Certificate[],
  chain: readonly X509Certificate[],
  { ca }: UsableCertificate,
): boolean {
  return cas.length === 0 ? ca === undefined : isTrusted(chain, cas);
}

function readCertificate(
  data: Readonly<Record<string, string>>,
  names: Names,
  otherCas: readonly X509Certificate[],
  { host, now }: StateQuery,
): UsableCertificate | undefined {
  const [certificate] = parseBase64(data[names.certificate]);
  if (certificate === undefined || certificate.checkHost(host) === undefined) return undefined;
  if (!isKeyOf(fromBase64(data[names.key]), certificate)) return undefined;
  // An installation of an older version has no CA in its Secret.
  const ca = [...parseBase64(data[names.ca]), ...otherCas].find(({ publicKey }) =>
    certificate.verify(publicKey),
  );
  const expiresAt = new Date(
    Math.min(...[certificate, ca ?? []].flat().map(({ validToDate }) => validToDate.getTime())),
  );
  if (expiresAt <= now) return undefined;
  return {
    certificate: toDer(certificate),
    ...(ca !== undefined && { ca: toDer(ca) }),
    expiresAt,
  };
}

/** A time that belongs to another state does not count: somebody else has changed an object since. */
function readSince(stored: StoredCertificate): Date | undefined {
  const [time = '', ...mark] = (stored.secret?.annotations[annotation.since] ?? '').split(' ');
  const since = new Date(time);
  return mark.join(' ') !== toMark(stored) || Number.isNaN(since.getTime()) ? undefined : since;
}

function toDer({ raw }: X509Certificate): string {
  return raw.toString('base64');
}

function parseBase64(base64 = ''): readonly X509Certificate[] {
  return parseCertificates(fromBase64(base64));
}

/** The API server sends only valid base64, but a Secret can hold any bytes. */
function fromBase64(base64 = ''): string {
  return atob(base64);
}
