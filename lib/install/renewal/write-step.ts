import type { CertificateStore, ServiceName, StoredCertificate } from '../../ports/index.ts';
import { toPem } from '../../util/x509.ts';
import { type CertificateChain, createCertificateChain } from '../certificate.ts';
import { type InstallSettings, toServiceHosts } from '../settings.ts';
import { toTlsSecret } from '../tls-secret.ts';
import type { Step } from './decide.ts';
import { toMark } from './read-state.ts';
import { annotation, nextNames, servedNames } from './secret-fields.ts';

type Secret = NonNullable<StoredCertificate['secret']>;

/** A step that changes an object. */
export type WriteStep = Exclude<Step, { readonly kind: 'ask' | 'wait' | 'rest' | 'refuse' }>;

/** The objects that decided a step, and what it needs. */
export interface StepRun {
  readonly store: CertificateStore;
  readonly install: Pick<InstallSettings, 'name' | 'namespace'>;
  readonly now: Date;
  readonly stored: StoredCertificate;
  readonly service: ServiceName;
  readonly signal: AbortSignal;
}

/** Resolves with `false` if an object has changed since it was read. */
export async function writeStep(step: WriteStep, run: StepRun): Promise<boolean> {
  const { store, now, stored, signal } = run;
  const { secret, configuration } = stored;
  if (step.kind === 'create') return await create(run);
  if (step.kind === 'trust') return await writeBundles(run, step.bundles.map(toBundle));
  if (step.kind === 'finish') {
    const bundle = toBundle([step.ca]);
    return await writeBundles(run, configuration?.caBundles.map(() => bundle) ?? []);
  }
  // Without a Secret the only step is `create`.
  if (secret === undefined) return false;
  switch (step.kind) {
    case 'prepare':
      return await store.replaceSecret(withNext(secret, await createChain(run)), signal);
    case 'discard':
      return await store.replaceSecret(withoutNext(secret), signal);
    case 'switch': {
      const switched = { ...stored, secret: withSwitched(secret) };
      return await store.replaceSecret(withMark(switched.secret, switched, now), signal);
    }
    case 'remember':
      return await store.replaceSecret(withMark(secret, stored, now), signal);
  }
}

/**
 * First the bundles, then the Secret: a pod that still has the lost certificate in memory keeps serving, and one that reads the new
 * one is trusted. A crash between both leaves a CA without a key in the bundles, which the last step removes.
 */
async function create(run: StepRun): Promise<boolean> {
  const { store, install, stored, signal } = run;
  const chain = await createChain(run);
  const bundles = stored.configuration?.caBundles ?? [];
  const isTrusted = await writeBundles(
    run,
    bundles.map((bundle) => `${atob(bundle).trimEnd()}\n${chain.ca}`.trimStart()),
  );
  if (!isTrusted) return false;
  const { type, data, metadata } = toTlsSecret(install, chain);
  const { labels } = metadata;
  return await store.createSecret({ type, data: { ...data }, labels, annotations: {} }, signal);
}

function createChain({ service, now }: StepRun): Promise<CertificateChain> {
  return createCertificateChain({ hosts: toServiceHosts(service), now });
}

/** `bundles` are PEM. */
async function writeBundles(
  { store, stored, signal }: StepRun,
  bundles: readonly string[],
): Promise<boolean> {
  const { configuration } = stored;
  if (configuration === undefined) return false;
  const caBundles = bundles.map((bundle) => btoa(bundle));
  return await store.replaceBundles({ ...configuration, caBundles }, signal);
}

function toBundle(cas: readonly string[]): string {
  return cas.map(toPem).join('');
}

function withNext(secret: Secret, { certificate, key, ca }: CertificateChain): Secret {
  const next = {
    [nextNames.certificate]: btoa(certificate),
    [nextNames.key]: btoa(key),
    [nextNames.ca]: btoa(ca),
  };
  return { ...secret, data: { ...secret.data, ...next } };
}

function withoutNext({ data, ...secret }: Secret): Secret {
  const names: readonly string[] = Object.values(nextNames);
  const kept = Object.entries(data).filter(([name]) => !names.includes(name));
  return { ...secret, data: Object.fromEntries(kept) };
}

function withSwitched(secret: Secret): Secret {
  const { data } = secret;
  const served = {
    [servedNames.certificate]: data[nextNames.certificate] ?? '',
    [servedNames.key]: data[nextNames.key] ?? '',
    [servedNames.ca]: data[nextNames.ca] ?? '',
  };
  const { data: others, ...rest } = withoutNext(secret);
  return { ...rest, data: { ...others, ...served } };
}

function withMark(secret: Secret, stored: StoredCertificate, now: Date): Secret {
  const mark = `${now.toISOString()} ${toMark(stored)}`;
  return { ...secret, annotations: { ...secret.annotations, [annotation.since]: mark } };
}
