import type { ServedCertificate } from '../../ports/index.ts';
import type { RenewalState, UsableCertificate } from './read-state.ts';

/** The one next step of a renewal, or why there is none. */
export type Step =
  /** No Secret: trust a new CA beside those of the bundles, then create the Secret with its certificate. */
  | { readonly kind: 'create' }
  /** Keep a new certificate and its CA in the Secret, without using them. */
  | { readonly kind: 'prepare' }
  /** Remove a next certificate that is not needed. */
  | { readonly kind: 'discard' }
  /** Trust these CAs, base64 of DER, for each webhook. */
  | { readonly kind: 'trust'; readonly bundles: readonly (readonly string[])[] }
  /** Remember that the objects are as they are since now. */
  | { readonly kind: 'remember' }
  /** Use the next certificate. */
  | { readonly kind: 'switch' }
  /** Ask all servers which certificate they present, then decide again. */
  | { readonly kind: 'ask' }
  /** Trust only this CA. */
  | { readonly kind: 'finish'; readonly ca: string }
  /** Not now. */
  | { readonly kind: 'wait'; readonly why: string }
  /** Nothing is to be done before `until`. */
  | { readonly kind: 'rest'; readonly until: Date }
  /** A person must act. */
  | { readonly kind: 'refuse'; readonly why: string };

const hourMs = 3_600_000;
/** A renewal takes three days, and an alert fires ten days after this. */
const renewBeforeMs = 30 * 24 * hourMs;
/**
 * Every API server has a changed webhook configuration, and every node a changed Secret, long before. Runs repeat after a failure,
 * so the schedule of the CronJob alone does not keep the steps apart.
 */
const settleMs = hourMs;
const namedServers = 3;

/**
 * Decides from the objects in the cluster alone, so that a renewal goes on after a crash between any two writes. A certificate is
 * used only after its CA has been trusted for an hour, and a CA is trusted until no server presents its certificate. If the API
 * server rejects the certificate in use anyway, the steps follow each other at once: no review can be refused that was not before.
 */
export function decide(state: RenewalState, served?: readonly ServedCertificate[]): Step {
  const { now, hasSecret, current, next, hasNext, bundles } = state;
  if (!hasSecret) return { kind: 'create' };

  const isTrusted = bundles.every(({ trustsCurrent }) => trustsCurrent);
  if (current?.ca !== undefined && !isTrusted) return trust(state, current.ca, next?.ca);

  const isUsable = current !== undefined && isTrusted;
  const renewAt =
    current === undefined ? now : new Date(current.expiresAt.getTime() - renewBeforeMs);
  if (!isUsable || renewAt <= now) return decideRenewal(state, isUsable);
  if (hasNext) return { kind: 'discard' };
  return decideEnd(state, current, renewAt, served);
}

/** Up to the moment when the Secret has the new certificate. */
function decideRenewal(state: RenewalState, isUsable: boolean): Step {
  const { now, next, current, bundles } = state;
  if (isUsable && current?.ca === undefined && bundles.some(({ cas }) => cas.length === 0)) {
    return {
      kind: 'refuse',
      why: 'the webhook configuration has no caBundle, so the certificate is from a CA that the API server trusts already, which cannot be renewed here: renew it by hand, and set CERTIFICATES=files',
    };
  }
  if (next?.ca === undefined || next.expiresAt.getTime() - renewBeforeMs <= now.getTime()) {
    // So it is for a moment while a deployment changes the Service, whose certificate must not be replaced.
    const settling = state.isForOtherHost
      ? waitUntilSettled(
          state,
          (until) =>
            `the certificate is for another host than the webhook configuration calls: unless a deployment changes that, it is replaced after ${until}`,
        )
      : undefined;
    return settling ?? { kind: 'prepare' };
  }
  const { ca } = next;
  if (bundles.some(({ cas }) => !cas.includes(ca))) return trust(state, ca);
  if (!isUsable) return { kind: 'switch' };
  return (
    waitUntilSettled(state, (until) => `every API server trusts the new CA by ${until}`) ?? {
      kind: 'switch',
    }
  );
}

/** After the Secret has it: until the bundles have its CA alone. */
function decideEnd(
  state: RenewalState,
  { certificate, ca }: UsableCertificate,
  renewAt: Date,
  served: readonly ServedCertificate[] | undefined,
): Step {
  const isDone = state.bundles.every(({ cas }) => cas.length === 1 && cas[0] === ca);
  if (isDone || ca === undefined) return { kind: 'rest', until: renewAt };
  const settling = waitUntilSettled(
    state,
    (until) => `every pod has the new certificate by ${until}`,
  );
  if (settling !== undefined) return settling;
  if (served === undefined) return { kind: 'ask' };
  if (served.length === 0) {
    return {
      kind: 'wait',
      why: 'the old CA stays trusted: the webhook has no server that could present the new certificate',
    };
  }
  const others = served.filter((each) => each.certificate !== certificate);
  if (others.length === 0) return { kind: 'finish', ca };
  return { kind: 'wait', why: `the old CA stays trusted: ${describe(others)}` };
}

/** `undefined` if the objects are unchanged for long enough. A time in the future is from a wrong clock and counts as its distance. */
function waitUntilSettled(
  { now, unchangedSince }: RenewalState,
  toReason: (until: string) => string,
): Step | undefined {
  if (unchangedSince === undefined) return { kind: 'remember' };
  if (Math.abs(now.getTime() - unchangedSince.getTime()) >= settleMs) return undefined;
  const until = new Date(unchangedSince.getTime() + settleMs);
  return { kind: 'wait', why: toReason(until.toISOString()) };
}

/** Keeps what is trusted, since a server may still present a certificate of it. */
function trust({ bundles }: RenewalState, ...more: readonly (string | undefined)[]): Step {
  const added = more.filter((ca) => ca !== undefined);
  return { kind: 'trust', bundles: bundles.map(({ cas }) => [...new Set([...cas, ...added])]) };
}

function describe(others: readonly ServedCertificate[]): string {
  const texts = others.map(({ server, problem }) =>
    problem === undefined
      ? `${server} presents another certificate`
      : `${server} did not answer (${problem})`,
  );
  // A gateway is asked several times.
  const distinct = [...new Set(texts)];
  const more = distinct.length - namedServers;
  return [...distinct.slice(0, namedServers), ...(more > 0 ? [`${more} more`] : [])].join(', ');
}
