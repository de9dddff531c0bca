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

/** The result of a write. */
export type WriteResult =
  | {
      readonly status: 'written';
      /** The object as stored, after all admission webhooks. */
      readonly stored: StoredWorkload;
      /** Warnings of the API server and of admission webhooks. */
      readonly warnings: readonly string[];
    }
  | { readonly status: 'refused'; readonly message: string }
  | { readonly status: 'gone' };

/** The workloads of a cluster. Rejects with a sentence for the user if the API server does not answer or denies access. */
export interface WorkloadStore {
  /** Namespaces with the label `image-cloner: enabled`. */
  optedInNamespaces(labelValue: string, signal: AbortSignal): Promise<readonly Namespace[]>;
  readNamespace(name: string, signal: AbortSignal): Promise<Namespace | undefined>;
  /** The workloads of one namespace, or of all if it is `undefined`; none if the cluster lacks the kind. */
  list(
    kind: WorkloadKind,
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly StoredWorkload[]>;
  read(stored: StoredWorkload, signal: AbortSignal): Promise<StoredWorkload | undefined>;
  /** Patches an object. After a `Retry-After` it retries as kubectl does, and calls `onWait` with the reason. */
  patch(
    stored: StoredWorkload,
    patch: WorkloadPatch,
    options: { readonly signal: AbortSignal; readonly onWait: (message: string) => void },
  ): Promise<WriteResult>;
}
