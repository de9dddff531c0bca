import type {
  CertificateStore,
  ServedCertificate,
  ServiceName,
  StoredCertificate,
} from '../../ports/index.ts';
import { type InstallSettings, toServiceHosts } from '../settings.ts';
import { decide, type Step } from './decide.ts';
import { readState } from './read-state.ts';
import { type RenewalReport, withReport } from './report.ts';
import { type WriteStep, writeStep } from './write-step.ts';

export interface RenewalDeps {
  readonly store: CertificateStore;
  /** Asks every server of the webhook which certificate it presents. */
  readonly readServed: (
    service: ServiceName,
    signal: AbortSignal,
  ) => Promise<readonly ServedCertificate[]>;
  readonly install: Pick<InstallSettings, 'name' | 'namespace'>;
  readonly now: () => Date;
  /** Prints a completed step. */
  readonly print: (line: string) => void;
}

type Report = Omit<RenewalReport, 'since'>;

/** cert-manager writes the name of its Certificate here. */
const certManagerAnnotation = 'cert-manager.io/certificate-name';
/** A repair takes five; more means that another process undoes them. */
const maxSteps = 10;

/**
 * Takes the steps that are due now, and says what the next one waits for. Rejects with one sentence if a step fails; the annotation
 * of the Secret then has that sentence too, for `status`.
 */
export async function renew(deps: RenewalDeps, signal: AbortSignal): Promise<Report> {
  const report = await takeSteps(deps, signal).catch(async (error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    // The first error is the cause, also if the report fails.
    await writeReport(deps, { state: 'failed', text }, signal).catch(() => undefined);
    throw error;
  });
  await writeReport(deps, report, signal);
  return report;
}

async function takeSteps(deps: RenewalDeps, signal: AbortSignal): Promise<Report> {
  const { store, install, readServed, print } = deps;
  for (let steps = 0; steps < maxSteps; steps += 1) {
    const stored = await store.read(signal);
    refuseOtherOwners(stored, install);
    const service = stored.configuration?.service;
    if (service === undefined) {
      return {
        state: 'waiting',
        text: `the webhook configuration ${install.name} does not exist or has no webhook: there is nothing to renew`,
      };
    }
    const now = deps.now();
    const [host] = toServiceHosts(service);
    const state = readState(stored, { host, now });
    const first = decide(state);
    const step = first.kind === 'ask' ? decide(state, await readServed(service, signal)) : first;
    const end = toEnd(step);
    if (end !== undefined) return end;
    if (!isWrite(step)) continue;
    if (await writeStep(step, { store, install, service, stored, now, signal })) {
      print(descriptions[step.kind]);
    }
  }
  throw new Error(
    'the Secret or the webhook configuration changes again and again: another deployment or renewal is running; run this again after it',
  );
}

/** Throws if another than the CronJob renews this certificate. */
function refuseOtherOwners(
  { secret, configuration }: StoredCertificate,
  { name }: RenewalDeps['install'],
): void {
  const owner = secret?.annotations[certManagerAnnotation];
  if (owner !== undefined) {
    throw new Error(
      `the Secret ${name}-tls belongs to the Certificate ${owner} of cert-manager, which renews it: set CERTIFICATES=cert-manager`,
    );
  }
  const { service, caBundles = [] } = configuration ?? {};
  if (service === undefined && caBundles.length > 0) {
    throw new Error(
      `the webhook configuration ${name} calls a URL: renew the certificate of that server by hand, and set CERTIFICATES=files`,
    );
  }
}

/** `undefined` if there is a step to take. */
function toEnd(step: Step): Report | undefined {
  if (step.kind === 'refuse') throw new Error(step.why);
  if (step.kind === 'wait') return { state: 'waiting', text: step.why };
  if (step.kind !== 'rest') return undefined;
  return { state: 'good', text: `the next renewal begins at ${step.until.toISOString()}` };
}

function isWrite(step: Step): step is WriteStep {
  return Object.hasOwn(descriptions, step.kind);
}

const descriptions: Readonly<Record<WriteStep['kind'], string>> = {
  create: 'created the Secret, which did not exist, with a new certificate',
  prepare: 'created a new certificate, which is not used yet',
  discard: 'removed a prepared certificate that is no longer needed',
  trust: 'the webhook configuration trusts the old and the new CA',
  remember: 'noted the time, from which the next step has to wait',
  switch: 'the Secret has the new certificate',
  finish: 'the webhook configuration trusts the new CA only: the renewal is complete',
};

async function writeReport(
  { store, now }: RenewalDeps,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const { secret } = await store.read(signal);
  if (secret === undefined) return;
  const annotations = withReport(secret.annotations, { ...report, since: now() });
  // If the Secret has changed meanwhile, the next run writes it.
  if (annotations !== undefined) await store.replaceSecret({ ...secret, annotations }, signal);
}
