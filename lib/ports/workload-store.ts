/** One kind of workload, as the API server and as `WORKLOADS` call it. */
export interface WorkloadKind {
  /** `deployments`, `services.serving.knative.dev`. */
  readonly workload: string;
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

/** One workload of a cluster, as it is stored. */
export interface StoredWorkload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly object: unknown;
}

export interface Namespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** RFC 7386 or RFC 6902. */
export type WorkloadPatch =
  | { readonly type: 'merge'; readonly body: object }
  | { readonly type: 'json'; readonly body: readonly object[] };

/** What became of a write. */
export type WriteResult =
  | {
      readonly status: 'written';
      /** As it was stored, whatever admission made of it. */
      readonly stored: StoredWorkload;
      /** What webhooks had to say. */
      readonly warnings: readonly string[];
    }
  | { readonly status: 'refused'; readonly message: string }
  | { readonly status: 'gone' };

/** The workloads of a cluster. Rejects, with a sentence for a person, where the API server does not answer or may not be asked. */
export interface WorkloadStore {
  /** Those that are labelled `image-cloner: enabled`. */
  optedInNamespaces(signal: AbortSignal): Promise<readonly Namespace[]>;
  readNamespace(name: string, signal: AbortSignal): Promise<Namespace | undefined>;
  /** Of one namespace, or of all where it is `undefined`; none where the cluster has no such kind. */
  list(
    kind: WorkloadKind,
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly StoredWorkload[]>;
  read(stored: StoredWorkload, signal: AbortSignal): Promise<StoredWorkload | undefined>;
  /** Told to come back, it does, as kubectl would; `onWait` is told why. */
  patch(
    stored: StoredWorkload,
    patch: WorkloadPatch,
    options: { readonly signal: AbortSignal; readonly onWait: (message: string) => void },
  ): Promise<WriteResult>;
}
