import { setTimeout as delay } from 'node:timers/promises';
import * as v from 'valibot';
import { parseReference } from '../../../lib/index.ts';
import { toPullSecret } from '../../../lib/install/pull-secret.ts';
import { find, kubectl, mustKubectl } from '../kubectl.ts';
import { probeLabels, toProbeName } from '../probe.ts';
import type { DeploySettings } from '../settings.ts';
import { readBackupAuth, readPullSecret } from './backup-auth.ts';
import { judgePull, toPullAdvice } from './pull.ts';
import { isAboutBackup } from './refusal.ts';
import { pushTinyImage } from './tiny-image.ts';

const pollMs = 500;
/** kubectl itself repeats a write that is told "still copying", so that this is what it gave up after. */
const copyWithinMs = 240_000;
const pullWithinMs = 180_000;
/** A registry may be busy for a moment; the kubelet tries again after 10 s, then after 20. */
const believedAfterMs = 20_000;

const admittedPod = v.object({
  metadata: v.object({ name: v.string() }),
  spec: v.object({ containers: v.tuple([v.object({ image: v.string() })]) }),
});

interface AdmittedPod {
  readonly name: string;
  readonly image: string;
}

/**
 * Has a pod named through the webhook, which the probe's configuration sends there, and waits until a node has pulled its image from the
 * backup: nodes must resolve, reach and trust that registry and be allowed to read it, or workloads would be rewritten to images that
 * nobody can start. Resolves with the image. It leaves nothing but the copy behind.
 */
export async function startFromCopy(settings: DeploySettings): Promise<string> {
  const namespace = toProbeName(settings.install.name);
  // One that was left behind may hold anything.
  await removeNamespace(namespace);
  await mustKubectl(['create', 'namespace', namespace]);
  try {
    await copyPullSecret(settings, namespace);
    const { name, image } = await admitOrBring(settings, namespace);
    await waitForPull(settings, { name, namespace, image });
    return image;
  } finally {
    // What went wrong before is worth more than that this did; `just undeploy` removes it too.
    await removeNamespace(namespace).catch(() => undefined);
  }
}

async function removeNamespace(name: string): Promise<void> {
  await mustKubectl(['delete', 'namespace', name, '--ignore-not-found', '--timeout=60s']);
}

/** As `just pull-secret` would: from our own namespace where somebody has put one there, else made of the webhook's own credentials. */
async function copyPullSecret(settings: DeploySettings, namespace: string): Promise<void> {
  const { backupPullSecret: name } = settings;
  if (name === undefined) return;
  const config = (await readPullSecret(settings, name)) ?? (await readBackupAuth(settings));
  await mustKubectl(
    ['create', `--namespace=${namespace}`, '--filename=-'],
    JSON.stringify(toPullSecret(name, config)),
  );
}

/**
 * The webhook need not be able to read IMAGE, whose registry may be another one than those of workloads. Then this machine puts a tiny
 * image into the backup, if it can. Whatever is wrong with the backup, and an image that somebody has chosen, is told as it is.
 */
async function admitOrBring(settings: DeploySettings, namespace: string): Promise<AdmittedPod> {
  const { probeImage, image, backupPullSecret } = settings;
  try {
    return await admit(settings, namespace, toPod(probeImage));
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (probeImage !== image || isAboutBackup(said, image)) throw error;
    const dockerConfig = await readBackupAuth(settings);
    const tiny = await pushTinyImage({ ...settings, dockerConfig }).catch((second: unknown) => {
      const why = second instanceof Error ? second.message : String(second);
      throw new Error(`${said}\nNor could an image be put there from here: ${why}`, {
        cause: error,
      });
    });
    return await admit(settings, namespace, toPod(tiny, backupPullSecret));
  }
}

/** Resolves with the pod as it is stored, its image being one of the backup. */
async function admit(
  settings: DeploySettings,
  namespace: string,
  pod: object,
): Promise<AdmittedPod> {
  const { probeImage, image, env } = settings;
  const end = performance.now() + copyWithinMs;
  const isPatient = env.get('ON_DEADLINE') === 'admit';
  for (;;) {
    const { code, stdout, stderr } = await kubectl(
      ['create', `--namespace=${namespace}`, '--filename=-', '--output=json'],
      JSON.stringify(pod),
    );
    const isOver = performance.now() > end;
    if (code === 0) {
      const { metadata, spec } = v.parse(admittedPod, JSON.parse(stdout));
      const [stored] = spec.containers;
      if (isBackup(stored.image, settings)) return { name: metadata.name, image: stored.image };
      if (!isPatient || isOver) {
        throw new Error(
          `${probeImage} was not copied${stderr === '' ? '' : ` (${stderr})`}; ${toOther(probeImage, image)}`,
        );
      }
      await mustKubectl(['delete', 'pod', metadata.name, `--namespace=${namespace}`, '--now']);
    } else if (isOver || !isForNow(stderr)) {
      throw new Error(`${stderr}\n${toOther(probeImage, image)}`);
    }
    await delay(pollMs);
  }
}

/** The namespace has no ServiceAccount yet, or the copy goes on. */
function isForNow(stderr: string): boolean {
  return /serviceaccount "default" not found|\(Timeout\)|still copying/.test(stderr);
}

/** The refusal may be about the backup as well, so that this is no more than a way out. */
function toOther(probeImage: string, image: string): string {
  const which = probeImage === image ? `${probeImage}, which is its own image` : probeImage;
  return `where the webhook may not read ${which}: give it credentials (SOURCE_AUTH_FILE), or set PROBE_IMAGE to an image that it may read`;
}

/** Below the backup. Where only the webhook knows its namespace: another image than we have named, or one of that registry anyway. */
function isBackup(image: string, { install, backup, probeImage }: DeploySettings): boolean {
  const { domain, path } = parseReference(image);
  if (install.backup !== undefined) {
    return domain === install.backup.domain && path.startsWith(`${install.backup.namespace}/`);
  }
  return image !== probeImage || domain === backup.domain;
}

/** It may run anywhere and asks for nothing: a cluster may demand that of every pod. */
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
          // The webhook's own image ends at once with it; any other may do as it likes.
          args: ['--help'],
          // A node may have it from before, when it could still pull.
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
  {
    name,
    namespace,
    image,
  }: { readonly name: string; readonly namespace: string; readonly image: string },
): Promise<void> {
  const end = performance.now() + pullWithinMs;
  const { domain } = parseReference(image);
  let failure: { readonly since: number; readonly says: string } | undefined;
  for (;;) {
    const pull = judgePull(await find('pod', name, `--namespace=${namespace}`));
    if (pull.state === 'pulled') return;
    const now = performance.now();
    // The first words name the reason; those of ImagePullBackOff may not.
    failure =
      pull.state === 'failing'
        ? { since: failure?.since ?? now, says: failure?.says ?? pull.says }
        : undefined;
    if (failure !== undefined && now - failure.since > believedAfterMs) {
      throw new Error(
        `a node cannot pull ${image}: ${failure.says}\n${toPullAdvice(failure.says, domain, backupPullSecret)}`,
      );
    }
    if (now > end) {
      throw new Error(
        `no node has pulled ${image} after ${pullWithinMs / 1000} s: ${pull.state === 'waiting' ? pull.says : ''}`,
      );
    }
    await delay(pollMs);
  }
}
