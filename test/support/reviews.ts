import assert from 'node:assert/strict';
import type { ReviewPolicy } from '../../lib/admission/policy.ts';
import type { AdmissionReview } from '../../lib/admission/review.ts';

export const uid = '705ab4f5-6393-11e8-b7cc-42010a800002';

export interface ReviewOptions {
  /** @default `uid` */
  readonly uid?: string;
  /** `group/Kind`, the core group being empty: `/Pod`. @default apps/Deployment */
  readonly kind?: string;
  /** @default UPDATE where there is an old object, else CREATE */
  readonly operation?: string;
  readonly object?: unknown;
  readonly oldObject?: unknown;
  readonly namespace?: string;
  readonly name?: string;
  readonly username?: string;
  readonly dryRun?: boolean;
  readonly subResource?: string;
}

/** The body of an admission request. */
export function review({
  uid: id = uid,
  kind = 'apps/Deployment',
  object = null,
  oldObject = null,
  operation = oldObject === null ? 'CREATE' : 'UPDATE',
  namespace = 'default',
  name = 'web',
  username = 'kubernetes-admin',
  dryRun = false,
  subResource,
}: ReviewOptions): unknown {
  const [group = '', kindName = ''] = kind.split('/');
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: id,
      kind: { group, version: 'v1', kind: kindName },
      resource: { group, version: 'v1', resource: `${kindName.toLowerCase()}s` },
      ...(subResource !== undefined && { subResource }),
      name,
      namespace,
      operation,
      userInfo: { username, groups: ['system:authenticated'] },
      object,
      oldObject,
      dryRun,
      options: null,
    },
  };
}

/** The default policy of tests: backups on Docker Hub for the user `acme`. */
export function policy(change: Partial<ReviewPolicy> = {}): ReviewPolicy {
  return {
    backup: { domain: 'docker.io', namespace: 'acme', naming: 'flat' },
    onError: 'deny',
    onDeadline: 'retry',
    ignoreImages: [],
    sourceRegistries: [],
    cloneOnlyOwners: ['*'],
    excludedNamespaces: [],
    ...change,
  };
}

export interface DeploymentOptions {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly templateLabels?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly unknown[];
  /** Further fields of the pod spec. */
  readonly pod?: Readonly<Record<string, unknown>>;
}

/** A Deployment with one container per entry: name → image. */
export function deployment(
  images: Readonly<Record<string, string>>,
  { annotations, labels, templateLabels, ownerReferences, pod = {} }: DeploymentOptions = {},
): unknown {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'web',
      ...(labels !== undefined && { labels }),
      ...(annotations !== undefined && { annotations }),
      ...(ownerReferences !== undefined && { ownerReferences }),
    },
    spec: {
      template: {
        metadata: { labels: { app: 'web', ...templateLabels } },
        spec: {
          containers: Object.entries(images).map(([name, image]) => ({ name, image })),
          ...pod,
        },
      },
    },
  };
}

/** The patch operations of a response, or `undefined`. Asserts that patch and patchType are both present or both absent. */
export function patchOf({ response }: AdmissionReview): unknown {
  assert.equal(response.patch === undefined, response.patchType === undefined);
  if (response.patch === undefined) return undefined;
  assert.equal(response.patchType, 'JSONPatch');
  const text = Buffer.from(response.patch, 'base64').toString('utf8');
  const operations: unknown = JSON.parse(text);
  return operations;
}

/** The operations that replace one string after a test of its old value. */
export function replaced(path: string, from: string, to: string): readonly unknown[] {
  return [
    { op: 'test', path, value: from },
    { op: 'replace', path, value: to },
  ];
}

/** The JSON pointer of the first image of a Deployment. */
export const firstImage = '/spec/template/spec/containers/0/image';
