import type { Repository } from '../image/reference.ts';

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** The password is an identity token of docker, which only a token server accepts (refresh-token grant). */
  readonly isIdentityToken?: true;
}

/** How long a caller waits for credentials. */
export interface WaitLimit {
  readonly ms: number;
  /** Ends the wait earlier. */
  readonly signal: AbortSignal;
}

/** Credentials for an image, in the order of the attempts; the caller adds anonymous access as the last one. */
export interface CredentialSource {
  /** Rejects with a `CloneError` `SOURCE_…` if credentials are configured but cannot be had, or with the signal's reason. */
  credentialsFor(image: Repository, within?: WaitLimit): Promise<readonly Credentials[]>;
}

/**
 * Credentials of the backup; `undefined` for anonymous access. Rejects with a `CloneError` `BACKUP_…` if they cannot be had, or
 * with the signal's reason.
 */
export type BackupCredentials = (within?: WaitLimit) => Promise<Credentials | undefined>;

/** The pull secrets that a pod refers to. */
export interface PullSecretRefs {
  readonly namespace: string;
  /** The pod's own `imagePullSecrets`; those of its ServiceAccount count only if there are none. */
  readonly names: readonly string[];
  /** @default `default`, as in Kubernetes */
  readonly serviceAccount?: string | undefined;
}

export interface WorkloadKeyring {
  /** The entries of all readable secrets, in the kubelet's order. */
  readonly keyring: { find(image: Repository): readonly Credentials[] };
  /** Why secrets are missing from the keyring, at most 120 characters each. */
  readonly warnings: readonly string[];
}

/**
 * The pull secrets of a workload, read from its own namespace only and cached for seconds. A call rejects with the signal's
 * reason only; a failure of the API server is part of the result.
 */
export interface WorkloadSecrets {
  keyring(of: PullSecretRefs, signal: AbortSignal): Promise<WorkloadKeyring>;
  /** The pull secrets of a ServiceAccount; `undefined` if it is forbidden or absent, or the API server does not answer. */
  serviceAccountSecrets(
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined>;
  /** `undefined` if unknown. */
  hasSecret(namespace: string, name: string, signal: AbortSignal): Promise<boolean | undefined>;
  /** Drops cached secrets of a namespace after a registry refused them; reads are at least a second apart. */
  forget(namespace: string): void;
}

/** The annotations of Namespace objects, cached for seconds. */
export interface NamespaceAnnotations {
  /** `undefined` if unknown. Rejects with the signal's reason only. */
  read(namespace: string, signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined>;
}

/** The result of reading one object; `unavailable` covers errors and timeouts. */
export type Lookup<Found> =
  | { readonly status: 'found'; readonly found: Found }
  | { readonly status: 'absent' | 'forbidden' | 'unavailable' };

export interface Secret {
  readonly type: string;
  /** Values are base64. */
  readonly data: Readonly<Record<string, string>>;
}

/** Reads single objects of one namespace. Never rejects. */
export interface NamespaceReader {
  readSecret(namespace: string, name: string, signal: AbortSignal): Promise<Lookup<Secret>>;
  /** The names in `imagePullSecrets` of a ServiceAccount. */
  readPullSecretNames(
    namespace: string,
    serviceAccount: string,
    signal: AbortSignal,
  ): Promise<Lookup<readonly string[]>>;
  /** The annotations of image-cloner on the Namespace itself, which needs a separate RBAC rule. */
  readAnnotations(
    namespace: string,
    signal: AbortSignal,
  ): Promise<Lookup<ReadonlyMap<string, string>>>;
}
