import type { Repository } from '../image/reference.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Credentials for an image, in the order in which they are to be tried; anonymous access comes last by itself. */
export interface CredentialSource {
  credentialsFor(image: Repository): Promise<readonly Credentials[]>;
}

/** Which pull secrets a pod is given. */
export interface PullSecretRefs {
  readonly namespace: string;
  /** The pod's own `imagePullSecrets`; only where it names none, its ServiceAccount's count. */
  readonly names: readonly string[];
  /** @default `default`, as in Kubernetes */
  readonly serviceAccount?: string | undefined;
}

export interface WorkloadKeyring {
  /** What all secrets that could be read hold, in the kubelet's order. */
  readonly keyring: { find(image: Repository): readonly Credentials[] };
  /** What a person should know where that was not enough, at most 120 characters each. */
  readonly warnings: readonly string[];
}

/**
 * The secrets with which a workload pulls its images, read from its own namespace and no other, and remembered briefly.
 * Whatever the cluster answers, asking succeeds; only the signal's own reason is thrown.
 */
export interface WorkloadSecrets {
  keyring(of: PullSecretRefs, signal: AbortSignal): Promise<WorkloadKeyring>;
  /** The names on a ServiceAccount; `undefined` where nobody can tell: it may not be read, does not exist, or the API server is silent. */
  serviceAccountSecrets(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined>;
  /** `undefined` where nobody can tell. */
  hasSecret(namespace: string, name: string, signal: AbortSignal): Promise<boolean | undefined>;
  /** After a registry refused what was found, or found nothing to try: the namespace is asked anew, once a second at most. */
  forget(namespace: string): void;
}

/** What a Namespace object says of itself, remembered briefly. */
export interface NamespaceAnnotations {
  /** `undefined` where nobody can tell. Only the signal's own reason is thrown. */
  read(namespace: string, signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined>;
}

/** What the API server says of one object; `unavailable` stands for every answer that is none. */
export type Lookup<Found> =
  | { readonly status: 'found'; readonly found: Found }
  | { readonly status: 'absent' | 'forbidden' | 'unavailable' };

export interface Secret {
  readonly type: string;
  /** Values are base64. */
  readonly data: Readonly<Record<string, string>>;
}

/** Reads single objects of one namespace. Never rejects: who may not read, or gets no answer, has a status for it. */
export interface NamespaceReader {
  readSecret(namespace: string, name: string, signal: AbortSignal): Promise<Lookup<Secret>>;
  /** The names under its `imagePullSecrets`. */
  readPullSecretNames(
    namespace: string,
    serviceAccount: string,
    signal: AbortSignal,
  ): Promise<Lookup<readonly string[]>>;
  /** Ours, of the Namespace itself; it takes a right of its own. */
  readAnnotations(
    namespace: string,
    signal: AbortSignal,
  ): Promise<Lookup<ReadonlyMap<string, string>>>;
}
