import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { parseReference } from '../../../lib/index.ts';
import { toPullSecret } from '../../../lib/install/pull-secret.ts';
import { toSentence } from '../../shared/run-command.ts';
import { find, kubectl, mustKubectl, readData } from '../kubectl.ts';
import type { DeploySettings } from '../settings.ts';
import { decode, readBackupAuth } from './backup-auth.ts';
import { probeLabels, toProbeName } from './probe.ts';
import { toPullAdvice, toPullState } from './pull-state.ts';
import { pushTinyImage } from './tiny-image.ts';

const pollMs = 500;
/** Longer than kubectl itself retries a write that is still copying. */
const copyTimeoutMs = 240_000;
const pullTimeoutMs = 180_000;
/** A failure can be temporary: the kubelet retries after 10 s and 20 s. */
const failureSettlesAfterMs = 20_000;

const admittedPod = v.object({
  metadata: v.object({ name: v.string() }),
  spec: v.object({ containers: v.tuple([v.object({ image: v.string() })]) }),
});

interface AdmittedPod {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
}

/**
 * Creates a pod that the webhook rewrites, and waits until a node has pulled its image from the backup: a node that cannot resolve,
 * reach, trust or read the backup could not start rewritten workloads. Resolves with the image, and leaves only the copy behind.
 */
export async function runTestPod(settings: DeploySettings): Promise<string> {
  const namespace = toProbeName(settings.install.name);
  // An earlier run may have left one behind.
  await removeNamespace(namespace);
  await mustKubectl(['create', 'namespace', namespace]);
  try {
    await copyPullSecret(settings, namespace);
    const pod = await admitWithFallback(settings, namespace);
    await waitForPull(settings, pod);
    return pod.image;
  } finally {
    // Keeps an earlier error; `just undeploy` removes the namespace too.
    await removeNamespace(namespace).catch(() => undefined);
  }
}

/** Pushes a tiny image into the backup from this machine, with the webhook's credentials. Resolves with its name. */
export async function pushTestImage(settings: DeploySettings): Promise<string> {
  return await pushTinyImage(settings, await readBackupAuth(settings));
}

/**
 * Lets the webhook review a dry run of a pod with the image of the smoke test, so that the pods ask the backup. Rejects with their
 * refusal.
 */
export async function askBackup({ probeImage }: DeploySettings): Promise<void> {
  const { code, stderr } = await kubectl(
    ['create', '--dry-run=server', '--namespace=default', '--filename=-'],
    JSON.stringify(toPod(probeImage)),
  );
  if (code !== 0) throw new Error(stderr);
}

async function removeNamespace(name: string): Promise<void> {
  await mustKubectl(['delete', 'namespace', name, '--ignore-not-found', '--timeout=60s']);
}

/** Copies the pull secret of image-cloner's namespace if there is one, else creates it from the webhook's credentials. */
async function copyPullSecret(settings: DeploySettings, namespace: string): Promise<void> {
  const { backupPullSecret: name, install } = settings;
  if (name === undefined) return;
  const { '.dockerconfigjson': own } = await readData('secret', name, install.namespace);
  if (own === undefined && settings.registryAuth !== 'file') {
    throw new Error(
      `the Secret that BACKUP_PULL_SECRET names must exist in ${install.namespace}: with REGISTRY_AUTH=${settings.registryAuth} there is no password to make it from`,
    );
  }
  const config = own === undefined ? await readBackupAuth(settings) : decode(own);
  await mustKubectl(
    ['create', `--namespace=${namespace}`, '--filename=-'],
    JSON.stringify(toPullSecret(name, config)),
  );
}

/**
 * If the webhook cannot read IMAGE, this machine pushes a tiny image into the backup instead.
 * Problems of the backup and of an explicit PROBE_IMAGE are reported as they are.
 */
async function admitWithFallback(
  settings: DeploySettings,
  namespace: string,
): Promise<AdmittedPod> {
  const { probeImage, image, backupPullSecret, registryAuth } = settings;
  try {
    return await admit(settings, namespace, toPod(probeImage));
  } catch (error) {
    const message = toSentence(error);
    // Only the pods have a cloud identity.
    const canPush = registryAuth === 'file' && probeImage === image;
    if (!canPush || isAboutBackup(message, image)) throw error;
    const tiny = await pushTestImage(settings).catch((second: unknown) => {
      throw new Error(
        `${message}\nThis machine cannot push a test image either: ${toSentence(second)}`,
        { cause: error },
      );
    });
    return await admit(settings, namespace, toPod(tiny, backupPullSecret));
  }
}

/**
 * Whether kubectl's error is about the backup rather than about `image`, which the smoke test can replace.
 * Ignores the image's name, because its registry may be called backup.
 */
export function isAboutBackup(message: string, image: string): boolean {
  return /\bbackup\b/.test(message.replaceAll(image, ''));
}

/** Resolves with the stored pod, whose image is in the backup. */
async function admit(
  settings: DeploySettings,
  namespace: string,
  pod: object,
): Promise<AdmittedPod> {
  const { probeImage, image, env } = settings;
  const end = performance.now() + copyTimeoutMs;
  const admitsOriginals = env.get('ON_DEADLINE') === 'admit';
  for (;;) {
    const { code, stdout, stderr } = await kubectl(
      ['create', `--namespace=${namespace}`, '--filename=-', '--output=json'],
      JSON.stringify(pod),
    );
    const isOver = performance.now() > end;
    if (code === 0) {
      const { metadata, spec } = v.parse(admittedPod, JSON.parse(stdout));
      const [stored] = spec.containers;
      if (isBackup(stored.image, settings))
        return { name: metadata.name, namespace, image: stored.image };
      if (!admitsOriginals || isOver) {
        throw new Error(
          `${probeImage} was not copied${stderr === '' ? '' : ` (${stderr})`}; ${toImageAdvice(probeImage, image)}`,
        );
      }
      await mustKubectl(['delete', 'pod', metadata.name, `--namespace=${namespace}`, '--now']);
    } else if (isOver || !isTemporary(stderr)) {
      throw new Error(`${stderr}\n${toImageAdvice(probeImage, image)}`);
    }
    await delay(pollMs);
  }
}

/** The namespace has no ServiceAccount yet, or the copy is still running. */
function isTemporary(stderr: string): boolean {
  return /serviceaccount "default" not found|\(Timeout\)|still copying/.test(stderr);
}

/** Conditional, because the error may be about the backup instead. */
function toImageAdvice(probeImage: string, image: string): string {
  const which = probeImage === image ? `${probeImage}, which is its own image` : probeImage;
  return `if the webhook cannot read ${which}: add credentials (SOURCE_AUTH_FILE), or set PROBE_IMAGE to an image that it can read`;
}

/** Without REGISTRY_NAMESPACE here, any image counts that was rewritten or is in the backup's registry. */
function isBackup(image: string, { install, backup, probeImage }: DeploySettings): boolean {
  const { domain, path } = parseReference(image);
  if (install.backup !== undefined) {
    return domain === install.backup.domain && path.startsWith(`${install.backup.namespace}/`);
  }
  return image !== probeImage || domain === backup.domain;
}

/** Satisfies the restricted Pod Security Standard, which a cluster can enforce. */
function toPod(image: string, pullSecret?: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'image-cloner-probe-', labels: probeLabels },
    spec: {
      restartPolicy: 'Never',
      ...(pullSecret !== undefined && { imagePullSecrets: [{ name: pullSecret }] }),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 0,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65_532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'image-cloner-probe',
          image,
          // Ends the webhook's own image at once; other images may ignore it.
          args: ['--help'],
          // The node may have the image from before it lost access.
          imagePullPolicy: 'Always',
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: {
            requests: { cpu: '10m', memory: '16Mi' },
            limits: { cpu: '100m', memory: '128Mi' },
          },
        },
      ],
    },
  };
}

async function waitForPull(
  { backupPullSecret }: DeploySettings,
  { name, namespace, image }: AdmittedPod,
): Promise<void> {
  const end = performance.now() + pullTimeoutMs;
  const { domain } = parseReference(image);
  let failure: { readonly since: number; readonly reason: string } | undefined;
  for (;;) {
    const pull = toPullState(await find('pod', name, `--namespace=${namespace}`));
    if (pull.state === 'pulled') return;
    const now = performance.now();
    // Keeps the first reason, because ImagePullBackOff often lacks the cause.
    failure =
      pull.state === 'failing'
        ? { since: failure?.since ?? now, reason: failure?.reason ?? pull.reason }
        : undefined;
    if (failure !== undefined && now - failure.since > failureSettlesAfterMs) {
      throw new Error(
        `a node cannot pull ${image}: ${failure.reason}\n${toPullAdvice(failure.reason, domain, backupPullSecret)}`,
      );
    }
    if (now > end) {
      throw new Error(
        `no node has pulled ${image} after ${pullTimeoutMs / 1000} s: ${pull.state === 'waiting' ? pull.reason : ''}`,
      );
    }
    await delay(pollMs);
  }
}
